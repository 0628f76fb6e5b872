"""The sans-IO IKEv2 engine: (datagram | command | timer, now) in, (datagrams, events, next deadline) out. No I/O, no clock."""
