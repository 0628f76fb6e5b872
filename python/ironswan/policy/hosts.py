"""What a configured address is: any, a prefix, a range, or one host. Texts alone; resolves nothing."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

from ironswan.policy.selectors import Address

ANY = ("%any", "%any4", "%any6", "0.0.0.0", "::")  # noqa: S104


def literal(text: str) -> Address | None:
    """The address `text` is, if it is one that names a host."""
    with contextlib.suppress(ValueError):
        return ip_address(text) if text not in ANY else None
    return None


def is_range(text: str) -> bool:
    """Whether it is `first-last`, which a host name with a dash is not."""
    start, dash, end = text.partition("-")
    return bool(dash) and literal(start.strip()) is not None and literal(end.strip()) is not None


def is_host(text: str) -> bool:
    """Whether it is one host, which can be called: an address or a name."""
    return text not in ANY and "/" not in text and not is_range(text)
