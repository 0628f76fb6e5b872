"""Tunnels side by side: ironswan and its peers, in turn, in one run between two namespaces of this machine."""
