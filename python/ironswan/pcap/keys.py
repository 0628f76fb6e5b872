"""The keys of SAs from a file, in Wireshark's format or in TOML; every mistake in it at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Literal

from ironswan.config.tree import Place, Problems
from ironswan.errors import ConfigurationError

Mode = Literal["auto", "tunnel", "transport"]
Protocol = Literal["esp", "ah"]
# The order of packets in a capture is looser than that of one receiver's queue.
REPLAY_WINDOW = 65_536
ADDRESS = "an address, a prefix such as 10.0.0.0/8, or *"
SPI = "0x and up to eight hexadecimal digits, from 0x1 on, or *"
_MAXIMUM_SIZE = 4 << 20
_FORMATS = "Wireshark's esp_sa file, or TOML with [[sa]] tables"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A number, of which only the bits of `mask` count; `width` is that of an address in octets, 0 for any family."""

    value: int = 0
    mask: int = 0
    width: int = 0

    def matches(self, number: int, width: int = 0) -> bool:
        """Whether a number, of an address so many octets wide, is meant."""
        return self.width in (0, width) and number & self.mask == self.value

    @property
    def weight(self) -> int:
        """How much it says: the bits that count, of an IPv4 address as many as of an IPv6 one."""
        return self.mask.bit_count() * (4 if self.width == 4 else 1)


ANY = Pattern()


@dataclass(frozen=True, slots=True)
class SaKeys:
    """One SA of a file. `spi`, `source` and `destination` may stand for many; the key is shown nowhere."""

    place: Place
    protocol: Protocol
    spi: Pattern
    source: Pattern
    destination: Pattern
    suite: str
    keymat: bytes = field(repr=False)
    mode: Mode = "auto"
    esn: bool = False
    replay_window: int = REPLAY_WINDOW
    sequence_number: int = 0

    @property
    def weight(self) -> tuple[int, int]:
        """How exactly it says what it is for; the SPI counts before the addresses."""
        return self.spi.weight, self.source.weight + self.destination.weight

    @property
    def selects(self) -> tuple[str, Pattern, Pattern, Pattern]:
        """What it is for."""
        return self.protocol, self.spi, self.source, self.destination


def load(path: Path) -> tuple[SaKeys, ...]:
    """The SAs of a file, the most exact ones first; its content says which format it is.

    Raises ConfigurationError with every mistake.
    """
    from ironswan.pcap import keys_toml, keys_wireshark

    problems = Problems()
    found: list[SaKeys] = []
    text = _read(path, problems)
    if text is not None:
        reader = keys_wireshark if keys_wireshark.is_format(text) else keys_toml
        found = _without_repetition(reader.parse(str(path), text, problems), problems)
    if text is not None and not found and not problems.found:
        problems.add(Place(str(path), 1), str(path), "names no SA", allowed=_FORMATS)
    if problems.found:
        raise ConfigurationError(problems.sorted())
    return tuple(sorted(found, key=lambda sa: sa.weight, reverse=True))


def _read(path: Path, problems: Problems) -> str | None:
    place = Place(str(path), 1)
    try:
        with path.open("rb") as file:
            content = file.read(_MAXIMUM_SIZE + 1)
    except OSError as error:
        problems.add(place, str(path), f"cannot be read: {error.strerror}")
        return None
    if len(content) > _MAXIMUM_SIZE:
        problems.add(place, str(path), f"is larger than {_MAXIMUM_SIZE >> 20} MiB")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(Place(str(path), line), str(path), "is not UTF-8 text", allowed=_FORMATS)
        return None


def _without_repetition(found: list[SaKeys], problems: Problems) -> list[SaKeys]:
    """Repeated lines count once; two keys for one SA cannot both be right."""
    first: dict[tuple[str, Pattern, Pattern, Pattern], SaKeys] = {}
    for sa in found:
        earlier = first.setdefault(sa.selects, sa)
        if (earlier.suite, earlier.keymat) != (sa.suite, sa.keymat):
            problems.add(
                sa.place, "sa", f"the SA of line {earlier.place.line} again, with another key", allowed="one of the two"
            )
    return list(first.values())


def spi_pattern(text: str) -> Pattern:
    """An SPI: `0x`, hexadecimal digits and `*` for any digit, or `*` alone. Raises ValueError."""
    digits = text[2:].rjust(8, "0") if text[:2].lower() == "0x" and len(text) > 2 else "********" * (text == "*")
    if len(digits) != 8:
        raise ValueError("is no SPI")
    value = int(digits.replace("*", "0"), 16)
    mask = int("".join("0" if digit == "*" else "f" for digit in digits), 16)
    if not value and mask == 0xFFFF_FFFF:
        raise ValueError("is the SPI zero, which no packet carries")
    return Pattern(value, mask)


def address_pattern(text: str, version: int = 0) -> Pattern:
    """An address, a prefix, an IPv4 address with `*` for some octets, or `*`. Raises ValueError."""
    if text == "*":
        return Pattern(width={4: 4, 6: 16}.get(version, 0))
    octets = text.split(".")
    try:
        if "*" in octets and len(octets) == 4:
            value = int(IPv4Address(".".join("0" if octet == "*" else octet for octet in octets)))
            pattern = Pattern(value, int.from_bytes(0 if octet == "*" else 255 for octet in octets), 4)
        else:
            network = ip_network(text, strict=False)
            pattern = Pattern(int(network.network_address), int(network.netmask), network.max_prefixlen // 8)
    except ValueError:
        # The library's words show the text, which may be a key that stands in the wrong place.
        raise ValueError("is no address") from None
    if version and pattern.width != (4 if version == 4 else 16):
        raise ValueError(f"is not of IPv{version}")
    return pattern


def constructible(sa: SaKeys, problems: Problems) -> bool:
    """Whether an SA can be made of these keys; if not, says why."""
    from ironswan.pcap.sas import make

    try:
        make(sa, sa.spi.value or 0x100)
    except ValueError as error:
        problems.add(sa.place, "sa", str(error))
        return False
    return True
