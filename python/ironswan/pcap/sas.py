"""The SAs met in a capture: which keys belong to a packet, and what became of its packets."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from ironswan.pcap.keys import Protocol, SaKeys

if TYPE_CHECKING:
    from ironswan.esp import AhInboundSa, InboundSa

# More than these are no longer told apart: forged packets must not fill the memory.
MAXIMUM_SAS = 4096
# Timestamp, buffer, offsets of the IP header and of what ends it, and that of the octet which says what follows.
Place = tuple[int, bytes, int, int, int]
# A protocol, and a pair of addresses and an SPI as they stand in the packet.
Key = tuple[Protocol, bytes, bytes]


def make(keys: SaKeys, spi: int, sequence_number: int | None = None) -> InboundSa | AhInboundSa:
    """The native SA. Raises ValueError when the keys do not fit the suite."""
    from ironswan import esp

    sequence_number = keys.sequence_number if sequence_number is None else sequence_number
    # Transport mode leaves what is inside as it is; what that is, is looked at afterwards.
    native = esp.InboundSa if keys.protocol == "esp" else esp.AhInboundSa
    return native(
        spi,
        keys.suite,
        keys.keymat,
        mode="transport",
        replay_window=keys.replay_window,
        esn=keys.esn,
        sequence_number=sequence_number,
    )


class MetSa:
    """One SA of the capture; without `keys` one that is only counted."""

    __slots__ = (
        "addresses", "decrypted", "dummies", "failures", "keys", "native", "octets", "packets",
        "pending", "places", "protocol", "replays", "searches", "spi",
    )  # fmt: skip

    def __init__(self, protocol: Protocol, spi: int, addresses: bytes, keys: SaKeys | None) -> None:
        """The first packet came from and went to `addresses`."""
        self.protocol = protocol
        self.spi = spi
        self.addresses = addresses
        self.keys = keys
        self.native = make(keys, spi) if keys is not None else None
        self.packets = self.decrypted = self.octets = self.replays = self.dummies = self.searches = 0
        self.failures: Counter[str] = Counter()
        # Packets not opened yet; where each stands among all that wait, and where it comes from.
        self.pending: list[memoryview] = []
        self.places: list[tuple[int, Place]] = []

    @property
    def endpoints(self) -> tuple[str, str]:
        """Source and destination of the first packet."""
        return endpoints(self.addresses)


def endpoints(addresses: bytes) -> tuple[str, str]:
    """Source and destination as text, from the octets of an IP header."""
    half = len(addresses) // 2
    family = IPv4Address if half == 4 else IPv6Address
    return str(family(addresses[:half])), str(family(addresses[half:]))


class SaTable:
    """From a packet's SPI and addresses to its SA."""

    def __init__(self, keys: tuple[SaKeys, ...]) -> None:
        """`keys` begin with the most exact ones."""
        self._keys = keys
        self._met: dict[Key, MetSa] = {}
        # Counts the packets of all SAs that are too many to be told apart.
        self.others = MetSa("esp", 0, bytes(8), None)

    @property
    def matched(self) -> list[MetSa]:
        """Those with keys, in the order of their first packets."""
        return [sa for sa in self._met.values() if sa.keys is not None]

    @property
    def unmatched(self) -> list[MetSa]:
        """Those without, the most frequent first."""
        return sorted((sa for sa in self._met.values() if sa.keys is None), key=lambda sa: -sa.packets)

    def find(self, protocol: Protocol, addresses: bytes, spi: bytes) -> MetSa:
        """The SA of a packet."""
        key = (protocol, addresses, spi)
        return self._met.get(key) or self._new(key)

    def _new(self, key: Key) -> MetSa:
        if len(self._met) >= MAXIMUM_SAS:
            return self.others
        protocol, addresses, spi = key
        number = int.from_bytes(spi)
        try:
            met = MetSa(protocol, number, addresses, self._keys_of(protocol, number, addresses))
        except ValueError:
            # A wildcard covers this SPI, and yet it is one that no SA can have (RFC 4303 2.1).
            met = MetSa(protocol, number, addresses, None)
        self._met[key] = met
        return met

    def _keys_of(self, protocol: Protocol, spi: int, addresses: bytes) -> SaKeys | None:
        half = len(addresses) // 2
        source, destination = int.from_bytes(addresses[:half]), int.from_bytes(addresses[half:])
        for keys in self._keys:
            is_sa = keys.protocol == protocol and keys.spi.matches(spi)
            if is_sa and keys.source.matches(source, half) and keys.destination.matches(destination, half):
                return keys
        return None
