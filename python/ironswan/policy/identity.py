"""Identities of RFC 7296 3.5 as values: what an ID payload says, and whether it is who was expected."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address


class IdType(IntEnum):
    """Identification types (RFC 7296 3.5)."""

    IPV4_ADDR = 1
    FQDN = 2
    RFC822_ADDR = 3
    IPV6_ADDR = 5
    DER_ASN1_DN = 9
    DER_ASN1_GN = 10
    KEY_ID = 11


_PREFIXES = {
    "ipv4": IdType.IPV4_ADDR,
    "ipv6": IdType.IPV6_ADDR,
    "rfc822": IdType.RFC822_ADDR,
    "email": IdType.RFC822_ADDR,
    "userfqdn": IdType.RFC822_ADDR,
    "fqdn": IdType.FQDN,
    "dns": IdType.FQDN,
    "keyid": IdType.KEY_ID,
}
_TEXT = (IdType.FQDN, IdType.RFC822_ADDR)
_ADDRESSES = (IdType.IPV4_ADDR, IdType.IPV6_ADDR)


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity as it stands in an ID payload: its type (an IdType, or an unknown number) and its octets."""

    type: int
    data: bytes

    @classmethod
    def parse(cls, text: str) -> Identity:
        """From swanctl's syntax: `192.0.2.1`, `moon.example`, `carol@example`, `keyid:text`, `keyid:#hex`, `fqdn:…`.

        Raises ValueError that says what is wrong. It does not repeat the text: in a file with a quotation mark too few,
        that may be a secret.
        """
        if not text:
            raise ValueError("an identity cannot be empty")
        prefix, colon, rest = text.partition(":")
        if colon and prefix.lower() in _PREFIXES:
            return _typed(_PREFIXES[prefix.lower()], rest)
        if "=" in text:
            raise ValueError("is a distinguished name, which needs certificates: not supported yet")
        if prefix.lower() in ("asn1gn", "asn1dn") or (prefix.startswith("{") and prefix.endswith("}")):
            raise ValueError("identities of this type are not supported yet")
        if text.startswith("@#"):
            return _typed(IdType.KEY_ID, text[1:])
        if (address := _address(text)) is not None:
            return cls.of_address(address)
        if _is_addresses(text):
            raise ValueError("a network or range as an identity is not supported yet")
        if text.startswith("@"):
            return _typed(IdType.FQDN, text[1:])
        return _typed(IdType.RFC822_ADDR if "@" in text else IdType.FQDN, text)

    @classmethod
    def of_address(cls, address: IPv4Address | IPv6Address) -> Identity:
        """The identity that is an address."""
        return cls(IdType.IPV4_ADDR if address.version == 4 else IdType.IPV6_ADDR, address.packed)

    def __str__(self) -> str:
        """A text for people; what a peer chose is escaped."""
        if self.type in _ADDRESSES and len(self.data) in (4, 16):
            return str(ip_address(self.data))
        if self.type in _TEXT:
            return _printable(self.data)
        if self.type == IdType.KEY_ID:
            text = _printable(self.data)
            return f"keyid:{text}" if "\\" not in text else f"keyid:#{self.data.hex()}"
        return f"{{{self.type}}}#{self.data.hex()}"


def _typed(kind: IdType, text: str) -> Identity:
    if not text:
        raise ValueError("an identity cannot be empty")
    if kind in _ADDRESSES:
        version = 4 if kind is IdType.IPV4_ADDR else 6
        address = _address(text)
        if address is None or address.version != version:
            raise ValueError(f"is not an IPv{version} address")
        return Identity(kind, address.packed)
    if kind is IdType.KEY_ID and text.startswith("#"):
        try:
            return Identity(kind, bytes.fromhex(text[1:]))
        except ValueError:
            raise ValueError("after # hexadecimal digits are expected") from None
    if kind in _TEXT and text.startswith("^"):
        raise ValueError("regular expressions are not supported yet; `*` matches any characters")
    if kind in _TEXT and any(c in ",;" or c.isspace() for c in text):
        raise ValueError("no host name or mail address has a blank, comma or semicolon; keyid: may be any text")
    if not text.isprintable():
        raise ValueError("has characters that cannot be seen: is a quotation mark missing?")
    return Identity(kind, text.encode())


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_addresses(text: str) -> bool:
    first = text.replace("-", "/").partition("/")[0]
    return first != text and _address(first) is not None


def _printable(data: bytes) -> str:
    return "".join(chr(octet) if 33 <= octet < 127 and octet != 92 else f"\\x{octet:02x}" for octet in data)


def matches(pattern: Identity | None, actual: Identity) -> bool:
    """Whether `actual` is who `pattern` names.

    None is anyone; `*` in a host name or mail address matches any characters (`*.example`, `*@example`). Case is
    ignored in both, as DNS does. The pattern is a configured one: what a peer says is compared with `same` alone.
    """
    if pattern is None or pattern == Identity(IdType.FQDN, b"%any"):
        return True
    if pattern.type not in _TEXT or b"*" not in pattern.data:
        return same(pattern, actual)
    return pattern.data == b"*" or (pattern.type == actual.type and _fits(pattern.data.lower(), actual.data.lower()))


def same(one: Identity, other: Identity) -> bool:
    """Whether two identities are one; case is ignored in host names and mail addresses."""
    if one.type != other.type or one.type not in _TEXT:
        return one == other
    return one.data.lower() == other.data.lower()


def _fits(pattern: bytes, data: bytes) -> bool:
    """Whether the parts of the pattern between its `*` stand in the data, one behind the other.

    No regular expression: there is nothing to compile and keep, and nothing to try again.
    """
    first, *middle, last = pattern.split(b"*")
    if len(data) < len(first) + len(last) or not data.startswith(first) or not data.endswith(last):
        return False
    place, end = len(first), len(data) - len(last)
    for part in middle:
        place = data.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True
