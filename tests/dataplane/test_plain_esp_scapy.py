"""Plain ESP with an implementation that nobody here wrote: scapy opens what we send and seals what we receive."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from two_gateways import INNER, INNER6, KEYS, OUTER, OUTER6, Pair, inside, wait_for

if os.environ.get("IRONSWAN_REQUIRE_PEERS") != "1":
    pytest.importorskip("scapy", reason="scapy is not installed")

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Packet

# AES-256-GCM: the key and four octets of salt.
KEY_AND_SALT = 36
DATA = bytes(range(256)) * 4
ETHERTYPE = {4: 0x0800, 6: 0x86DD}


def outer_header(version: int, source: str, target: str) -> Packet:
    addresses: tuple[dict[str, str], type[Packet]] = (OUTER, IP) if version == 4 else (OUTER6, IPv6)
    names, kind = addresses
    return kind(src=names[source], dst=names[target])


class Peer:
    """scapy in the place of side b, on a packet socket of its link."""

    def __init__(self, pair: Pair, version: int, wire: socket.socket) -> None:
        self.pair, self.version, self.wire = pair, version, wire
        self.out = self.association(pair.a.spi, "b", outer_header(version, "b", "a"))
        self.back = self.association(pair.b.spi, "a", outer_header(version, "a", "b"))

    @staticmethod
    def association(spi: int, keys: str, tunnel: Packet) -> Any:
        return SecurityAssociation(
            ESP, spi, seq_num=1, crypt_algo="AES-GCM", crypt_key=KEYS[keys][:KEY_AND_SALT], tunnel_header=tunnel
        )

    def send(self, inner: Packet) -> None:
        target = bytes.fromhex(self.pair.link("a")["address"].replace(":", ""))
        address = ("vb", ETHERTYPE[self.version], 0, 0, target)
        self.wire.sendto(bytes(self.out.encrypt(inner)), address)

    def receive(self) -> Packet:
        """The next packet of protocol 50 from the link, from its IP header."""
        while True:
            octets, address = self.wire.recvfrom(65536)
            if address[2] == socket.PACKET_HOST and octets[9 if self.version == 4 else 6] == socket.IPPROTO_ESP:
                return IP(octets) if self.version == 4 else IPv6(octets)


@contextmanager
def peer(pair: Pair, version: int) -> Iterator[Peer]:
    with inside(pair.b.namespace):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERTYPE[version]))
    with wire:
        wire.bind(("vb", ETHERTYPE[version]))
        wire.settimeout(5)
        yield Peer(pair, version, wire)


def request(version: int, number: int) -> Packet:
    if version == 4:
        return IP(src=INNER["b"], dst=INNER["a"]) / ICMP(id=7, seq=number) / DATA
    return IPv6(src=INNER6["b"], dst=INNER6["a"]) / ICMPv6EchoRequest(id=7, seq=number, data=DATA)


def answers(inner: Packet, number: int) -> bool:
    kind = ICMP if isinstance(inner, IP) else ICMPv6EchoReply
    return kind in inner and inner[kind].seq == number and bytes(inner).endswith(DATA)


def wanted_header(packet: Packet) -> bool:
    """Protocol 50 straight behind the IP header, no DF, a hop limit of 64, no flow label, and a sum that is right."""
    if isinstance(packet, IP):
        told, summed = packet.chksum, packet.copy()
        del summed.chksum
        same = IP(bytes(summed)).chksum == told
        return same and (packet.ihl, packet.ttl, packet.proto, int(packet.flags)) == (5, 64, 50, 0)
    return bool((packet.fl, packet.hlim, packet.nh) == (0, 64, 50))


@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("rings", [True, False], ids=["rings", "raw"])
def test_scapy_and_we_understand_each_other(
    make_pair: Callable[..., Pair], outer: int, inner: int, rings: bool
) -> None:
    pair = make_pair(outer6=outer == 6, offloads="auto" if rings else "off")
    pair.join(plain="ab")
    # scapy has this SA now.
    pair.b.plane.remove_inbound(pair.b.spi)
    if rings:
        pair.know_next_hops()
        wait_for(lambda: pair.a.plane.offloads()["esp_rings"])
    with peer(pair, outer) as other:
        for number in (1, 2):
            other.send(request(inner, number))
            sealed = other.receive()
            assert wanted_header(sealed)
            assert sealed[ESP].seq == number
            assert answers(other.back.decrypt(sealed), number)
    assert pair.a.counter("plain_packets") == 2
    assert pair.a.counter("plain_raw_packets") == pair.a.counter("plain_raw_sends") == (0 if rings else 2)
