"""IKEv2 messages: octets to frozen dataclasses and back (RFC 7296 3). Knows no keys and no state."""
