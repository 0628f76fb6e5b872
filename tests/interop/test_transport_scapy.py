"""A host in transport mode, scapy as the other: the kernel answers what scapy seals, and scapy opens the answer."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from ironswan import _native
from ironswan.lab.namespaces import Namespace, connect

if os.environ.get("IRONSWAN_REQUIRE_PEERS") != "1":
    pytest.importorskip("scapy", reason="scapy is not installed")

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Packet, Raw

KEY = bytes(range(20))
OWN = {4: "192.0.2.1", 6: "2001:db8:7::1"}
PEER = {4: "192.0.2.2", 6: "2001:db8:7::2"}
NAT = {4: "198.51.100.7", 6: "2001:db8:77::7"}
HEADER = {4: IP, 6: IPv6}
SPI_TO_PEER = 0xC0DE0001
ANY = (0, 65535)


@dataclass
class Bench:
    """Our host's data plane, and the socket scapy's packets go through."""

    family: int
    plane: _native.DataPlane
    own: Namespace
    wire: socket.socket
    inbound: SecurityAssociation
    outbound: SecurityAssociation

    def send(self, packet: Packet) -> None:
        """Seal as scapy does, and send what is behind its UDP header."""
        sealed = self.inbound.encrypt(packet)
        self.wire.sendto(bytes(sealed[ESP]), (OWN[self.family], 4500))

    def receive(self) -> Packet:
        """Open the next packet with scapy, behind headers as they were on the wire."""
        octets = self.wire.recv(65536)
        header = HEADER[self.family](src=OWN[self.family], dst=PEER[self.family])
        return self.outbound.decrypt(HEADER[self.family](bytes(header / UDP(sport=4500, dport=4500) / ESP(octets))))


def association(spi: int) -> SecurityAssociation:
    """scapy's end in transport mode over UDP; its keys have the salt behind them."""
    header = UDP(sport=4500, dport=4500)
    return SecurityAssociation(ESP, spi, seq_num=1, crypt_algo="AES-GCM", crypt_key=KEY, nat_t_header=header)


@contextmanager
def data_plane(namespace: Namespace) -> Iterator[_native.DataPlane]:
    with namespace.entered():
        plane = _native.DataPlane(tun_name="ipsec0", mark=220)
    try:
        yield plane
    finally:
        plane.close()


@contextmanager
def bench(family: int, seen_as: str | None = None) -> Iterator[Bench]:
    """`seen_as`: the address the peer has for itself, before a NAT."""
    length = 24 if family == 4 else 64
    with Namespace("ipswit-own") as own, Namespace("ipswit-scapy") as other:
        addresses = (f"{OWN[family]}/{length}", f"{PEER[family]}/{length}")
        for namespace in (own, other):
            namespace.sysctl("net.ipv6.conf.all.disable_ipv6", 0)
            namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 0)
            namespace.sysctl("net.ipv6.conf.default.accept_dad", 0)
        connect(own, other, names=("w0", "w0"), addresses=addresses)
        own.sysctl("net.ipv4.conf.all.rp_filter", 0)
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with (
            data_plane(own) as plane,
            other.socket(kind, socket.SOCK_DGRAM) as wire,
            own.netlink() as netlink,
        ):
            wire.settimeout(5)
            wire.bind((PEER[family], 4500))
            netlink.rule("add", family=kind, priority=220, table=220, fwmark=220, flags=2)
            netlink.route("add", dst=PEER[family], table=220, oif=plane.interface()[1], prefsrc=OWN[family])
            local, remote = ([(0, side[family], side[family], *ANY)] for side in (OWN, PEER))
            spi = plane.allocate_spi()
            plane.install_inbound(
                spi, "aes128gcm16", KEY, esn=False, replay_window=64, remote_ts=remote, local_ts=local,
                remote_addr=PEER[family], remote_port=4500, mode="transport",
                nat_original=(seen_as, OWN[family]) if seen_as else None,
            )  # fmt: skip
            handle = plane.install_outbound(
                SPI_TO_PEER, "aes128gcm16", KEY, esn=False, local_addr=OWN[family], local_port=4500,
                remote_addr=PEER[family], remote_port=4500, key_owner=spi, mode="transport",
            )  # fmt: skip
            plane.add_policy(1, local, remote)
            plane.bind_policy(1, handle)
            yield Bench(family, plane, own, wire, association(spi), association(SPI_TO_PEER))


@pytest.fixture(params=[4, 6], ids=["v4", "v6"])
def host(privileged: None, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A host and its peer, no NAT between them."""
    with bench(request.param) as host:
        yield host


@pytest.fixture(params=[4, 6], ids=["v4", "v6"])
def natted(privileged: None, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The peer is behind a NAT."""
    with bench(request.param, NAT[request.param]) as host:
        yield host


def addressed(host: Bench, source: str | None = None) -> Packet:
    """The header of a packet from the peer."""
    return HEADER[host.family](src=source or PEER[host.family], dst=OWN[host.family])


def echo(host: Bench, data: bytes) -> Packet:
    if host.family == 4:
        return addressed(host) / ICMP(id=7, seq=9) / Raw(data)
    return addressed(host) / ICMPv6EchoRequest(id=7, seq=9, data=data)


def datagram(host: Bench, packet: Packet) -> tuple[bytes, Packet]:
    """What a program gets of a datagram to port 5353, and how scapy sees its answer."""
    kind = socket.AF_INET if host.family == 4 else socket.AF_INET6
    with host.own.socket(kind, socket.SOCK_DGRAM) as program:
        program.settimeout(5)
        program.bind((OWN[host.family], 5353))
        host.send(packet)
        data, source = program.recvfrom(65536)
        program.sendto(b"an answer", source)
        return data, host.receive()


def test_an_echo_is_answered_by_the_kernel(host: Bench) -> None:
    """E11: both directions, ICMP."""
    host.send(echo(host, b"how far is it"))
    answer = host.receive()
    assert (answer.src, answer.dst) == (OWN[host.family], PEER[host.family])
    reply = answer[ICMP] if host.family == 4 else answer[ICMPv6EchoReply]
    assert (reply.type, reply.id, reply.seq) == (0 if host.family == 4 else 129, 7, 9)
    assert b"how far is it" in bytes(answer)


def test_a_datagram_reaches_its_program_and_the_answer_its_peer(host: Bench) -> None:
    data, answer = datagram(host, addressed(host) / UDP(sport=4711, dport=5353) / Raw(b"a question"))
    assert data == b"a question"
    assert (answer[UDP].sport, answer[UDP].dport, bytes(answer[UDP].payload)) == (5353, 4711, b"an answer")
    sent = answer[UDP].chksum
    del answer[UDP].chksum
    assert HEADER[host.family](bytes(answer))[UDP].chksum == sent


def test_checksums_from_before_a_nat_are_accepted(natted: Bench) -> None:
    """I100: RFC 3948 3.1.2."""
    before = addressed(natted, NAT[natted.family]) / UDP(sport=4711, dport=5353) / Raw(b"from behind a NAT")
    as_sent = HEADER[natted.family](bytes(before))
    data, answer = datagram(natted, as_sent)
    assert data == b"from behind a NAT"
    assert bytes(answer[UDP].payload) == b"an answer"


def test_a_wrong_checksum_stays_wrong_behind_a_nat(natted: Bench) -> None:
    wrong = addressed(natted, NAT[natted.family]) / UDP(sport=4711, dport=5353, chksum=0x1234) / Raw(b"damaged")
    right = addressed(natted, NAT[natted.family]) / UDP(sport=4711, dport=5353) / Raw(b"whole")
    natted.send(HEADER[natted.family](bytes(wrong)))
    data, _ = datagram(natted, HEADER[natted.family](bytes(right)))
    assert data == b"whole"
