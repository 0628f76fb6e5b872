"""Names of network interfaces, by the kernel's own rules (`dev_valid_name`, and what sysctl reserves)."""

from __future__ import annotations

MAIN_INTERFACE = "ipsec0"
"""The TUN that policies steer packets into, unless the operator names it otherwise."""

_MOST_OCTETS = 15
_TAKEN = ("lo", "all", "default")


def checked(name: str) -> str:
    """The name, if an interface that we make can have it. Raises ValueError in words."""
    if not 1 <= len(name.encode()) <= _MOST_OCTETS:
        raise ValueError(f"an interface's name has 1 to {_MOST_OCTETS} octets")
    # The kernel's isspace() knows octets, and 0xa0 is one; a % would make it number the interface as it likes.
    if not name.isprintable() or any(c.isspace() or c in "/:%" for c in name) or b"\xa0" in name.encode():
        raise ValueError("no interface can have this name")
    if name in (".", "..", *_TAKEN):
        raise ValueError("the kernel keeps this name for itself")
    return name
