"""What the suites need as keys, and how a wrong one is described without showing it."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ironswan.esp import SuiteInfo


@cache
def table() -> dict[tuple[str, str], SuiteInfo]:
    """Every suite that can be constructed, by protocol and keyword."""
    from ironswan import esp

    return {(suite.protocol, suite.keyword): suite for suite in esp.suites()}


def suggestion(text: str, known: list[str], otherwise: str) -> str:
    """The known words that come near, else some words."""
    return " or ".join(get_close_matches(text, known, 2)) or otherwise


def shown(value: str) -> str:
    """A wrong value, if it cannot be a key that stands where something else belongs."""
    is_address_like = any(mark in value for mark in ".:*")
    return value if len(value) <= 10 or (is_address_like and len(value) <= 43) else ""


def lengths(suite: SuiteInfo) -> str:
    """`36 octets: 32 of encryption key, 4 of salt`."""
    parts = (
        (suite.key_len, "encryption key"),
        (suite.salt_len, "salt"),
        (suite.integrity_key_len, "integrity key"),
    )
    listed = ", ".join(f"{octets} of {name}" for octets, name in parts if octets)
    return f"{suite.keymat_len} octets: {listed}"


def from_hexadecimal(text: str) -> bytes:
    """A key; `0x` before it and blanks within are allowed. Raises ValueError, whose words never contain it."""
    digits = text[2:] if text[:2].lower() == "0x" else text
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError("is not hexadecimal, or of an odd number of digits") from None
