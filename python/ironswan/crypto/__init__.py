"""The cryptography of IKEv2 as pure functions over the `cryptography` package. No state, no clock, no entropy."""
