"""The sans-IO IKEv2 engine: (datagram | command | timer, now) in, (datagrams, events, deadline) out."""
