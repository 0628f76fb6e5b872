"""How one value is read: a function from text to a value each, raising ValueError in words."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Generic, TypeVar

from ironswan.policy import interface_name
from ironswan.policy.identity import Identity
from ironswan.policy.interface_name import MAIN_INTERFACE
from ironswan.policy.proposals import default_proposals, parse_proposal
from ironswan.policy.selectors import Address, SelectorTemplate, parse_selector
from ironswan.policy.transforms import Proposal, Protocol

T = TypeVar("T")
_TIME = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TRUE, _FALSE = ("yes", "true", "enabled", "1"), ("no", "false", "disabled", "0")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
_LIKE_ADDRESS = re.compile(r"[\d.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value: what may be written, and how it is read."""

    allowed: str
    read: Callable[[str], T]


def _interface(text: str) -> str:
    if text == MAIN_INTERFACE:
        raise ValueError("is the interface for all that have none of their own: choose another name, or none")
    return interface_name.checked(text)


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("neither yes nor no")


def _scaled(units: dict[str, int], text: str) -> int:
    match = re.fullmatch(r"(\d{1,15})\s*([a-z]?)", text.lower())
    if match is None or match[2] not in units:
        raise ValueError("not a number with a unit")
    return int(match[1]) * units[match[2]]


def items(text: str) -> tuple[str, ...]:
    """The items of a comma-separated list."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _word(text: str) -> str:
    """In lower case, and one word for all that mean yes or no."""
    word = text.lower()
    return "yes" if word in _TRUE else "no" if word in _FALSE else word


def _mark(text: str) -> tuple[int, ...]:
    """A mark, or mark and mask."""
    return tuple(int(part, 0) for part in text.split("/"))


def one_of(*words: str, **aliases: str) -> Kind[str]:
    """One of some words; aliases stand for others."""

    def read(text: str) -> str:
        word = aliases.get(text.lower(), text.lower())
        if word not in words:
            raise ValueError("not one of them")
        return word

    return Kind(", ".join(words), read)


def integer(low: int, high: int) -> Kind[int]:
    """A whole number."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?\d{1,12}", text) or not low <= int(text) <= high:
            raise ValueError("out of range")
        return int(text)

    return Kind(f"{low}..{high}", read)


def _start_action(text: str) -> str:
    words = {"route": "trap"}
    parts = {words.get(part.strip(), part.strip()) for part in text.lower().split("|")}
    if not parts <= {"none", "trap", "start"} or ("none" in parts and len(parts) > 1):
        raise ValueError("not an action")
    return "trap|start" if parts == {"trap", "start"} else parts.pop()


def _proposals(protocol: Protocol) -> Callable[[str], tuple[Proposal, ...]]:
    def read(text: str) -> tuple[Proposal, ...]:
        found: list[Proposal] = []
        for item in items(text):
            found += default_proposals(protocol) if item == "default" else [parse_proposal(item, protocol)]
        if not found:
            raise ValueError("no proposal")
        return tuple(found)

    return read


def _listed(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def read_all(text: str) -> tuple[T, ...]:
        found = tuple(read(item) for item in items(text))
        if not found:
            raise ValueError("the list is empty")
        return found

    return read_all


def _host(text: str) -> str:
    if text in ("%any", "%any4", "%any6"):
        return text
    if "/" in text:
        return str(ip_network(text, strict=False))
    if _LIKE_ADDRESS.fullmatch(text):
        return str(ip_address(text))
    if (ends := address_range(text)) is not None:
        if ends[0].version != ends[1].version or int(ends[0]) > int(ends[1]):
            raise ValueError(f"{text} is no range: the first address must be the lower, and of the same family")
        return f"{ends[0]}-{ends[1]}"
    if not _HOST.fullmatch(text):
        raise ValueError(f"{text!r} is neither an address nor a host name")
    return text


def address_range(text: str) -> tuple[Address, Address] | None:
    """The ends of `a-b`; None for what is no range of addresses, such as a host name with a dash."""
    first, dash, last = text.partition("-")
    if not dash or not _LIKE_ADDRESS.fullmatch(first.strip()):
        return None
    return ip_address(first.strip()), ip_address(last.strip())


def _secret(text: str) -> bytes:
    """A secret; the words of an error never contain it."""
    if text[:2].lower() not in ("0x", "0s"):
        return text.encode()
    hexadecimal = text[1] in "xX"
    try:
        key = bytes.fromhex(text[2:]) if hexadecimal else binascii.a2b_base64(text[2:].encode(), strict_mode=True)
    except ValueError:
        what = "0x is not hexadecimal" if hexadecimal else "0s is not Base64"
        raise ValueError(f"what follows {what}") from None
    if not key:
        raise ValueError("the secret is empty")
    return key


def _decimal(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
            raise ValueError("not a number")
        if not low <= float(text) <= high:
            raise ValueError("out of range")
        return float(text)

    return read


def _some_time(text: str) -> float:
    if not (time := _scaled(_TIME, text)):
        raise ValueError("must be a second at least")
    return float(time)


def _workers(text: str) -> int:
    return 0 if text.lower() == "auto" else integer(1, 64).read(text)


def _path_mtu(text: str) -> int:
    return 0 if text.lower() == "auto" else integer(576, 65535).read(text)


def _replay_window(text: str) -> int:
    size = integer(0, 65536).read(text)
    if size == 0:
        raise ValueError("a tunnel without replay protection is not supported")
    return max(size, 32)


def _copy_df(text: str) -> bool:
    if _boolean(text):
        raise ValueError("DF is not copied, a packet may be fragmented after it is sealed: write copy_df = no")
    return False


BOOLEAN = Kind("yes, no", _boolean)
WORD = Kind("a word", _word)
MARK = Kind("a mark, or mark/mask", _mark)
INTERFACE = Kind("1 to 15 characters without blanks, slashes, colons and %", _interface)
SOME_TIME = Kind("a time from 1s on: 30s, 10m, 4h, 1d", _some_time)
COPY_DF = Kind("no", _copy_df)
COPY_DSCP = one_of("out", "in", "yes", "no", **dict.fromkeys(_TRUE, "yes"), **dict.fromkeys(_FALSE, "no"))
TIME = Kind("a time: 30s, 10m, 4h, 1d", lambda text: float(_scaled(_TIME, text)))
SIZE = Kind("octets: 0, 500m, 2g", lambda text: _scaled(_SIZE, text))
COUNT = integer(0, 10**12 - 1)
PORT = integer(1, 65535)
SECONDS = Kind("seconds from 0.1 on: 4, 2.5", _decimal(0.1, 999_999))
FACTOR = Kind("1.0..10.0", _decimal(1.0, 10.0))
FRAGMENTATION = one_of("yes", "accept", "no", "force", **dict.fromkeys(_TRUE, "yes"), **dict.fromkeys(_FALSE, "no"))
UNIQUE = one_of("never", "no", "keep", "replace", **dict.fromkeys(_FALSE, "no"))
START_ACTION = Kind("none, trap, start, trap|start", _start_action)
END_ACTION = one_of("none", "trap", "start", clear="none", route="trap", hold="trap", restart="start")
IKE_PROPOSALS = Kind("keywords such as aes128gcm16-prfsha256-x25519, or default", _proposals(Protocol.IKE))
ESP_PROPOSALS = Kind("keywords such as aes128gcm16-x25519, or default", _proposals(Protocol.ESP))
SELECTORS: Kind[tuple[SelectorTemplate, ...]] = Kind(
    "10.1.0.0/16, 10.1.0.1-10.1.0.9, dynamic, each with [tcp/80] or the like", _listed(parse_selector)
)
HOSTS: Kind[tuple[str, ...]] = Kind("addresses, prefixes, ranges, host names, %any", _listed(_host))
IDENTITY: Kind[Identity | None] = Kind(
    "a host name, an address, user@host, keyid:text", lambda text: None if text == "%any" else Identity.parse(text)
)
PATH_MTU = Kind("576..65535, auto", _path_mtu)
WORKERS = Kind("1..64, auto", _workers)
PER_CPU_SAS = one_of("no", "yes", "encap", **dict.fromkeys(_TRUE, "yes"), **dict.fromkeys(_FALSE, "no"))
REPLAY_WINDOW = Kind("32..65536", _replay_window)
SECRET = Kind("text, 0x and hexadecimal, 0s and Base64", _secret)
AnyKind = Kind[Any]
