"""The control socket: newline-delimited JSON between the gateway and whoever may command it."""
