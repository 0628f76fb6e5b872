"""Lines: sockets connected to a peer each, beside the one that all peers share."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_traffic import tcp_transfer
from two_gateways import INNER, OUTER, Pair, Side, inside, run, wait_for

from ironswan import _native

OCTETS = bytes(range(256)) * 40_000
ICMP_UNREACHABLE, PORT_UNREACHABLE, FRAGMENTATION_NEEDED = 3, 3, 4


def lines(side: Side, *, v6: bool = False) -> int:
    """How many sockets of its port are connected."""
    with inside(side.namespace):
        rows = Path("/proc/thread-self/net", "udp6" if v6 else "udp").read_text().splitlines()[1:]
    sockets = [(local, remote) for _, local, remote, *_ in map(str.split, rows) if local.endswith(f":{4500:04X}")]
    return sum(not remote.endswith(":0000") for _, remote in sockets)


def unreachable(side: Side) -> dict[str, int]:
    """How many such reports its kernel has heard, and how many it had no use for: none, where they name a socket."""
    with inside(side.namespace):
        rows = [
            row.split()[1:] for row in Path("/proc/thread-self/net/snmp").read_text().splitlines() if "Icmp:" in row
        ]
    found = dict(zip(*rows, strict=True))
    return {name: int(found[name]) for name in ("InDestUnreachs", "InErrors")}


def ping(pair: Pair, count: int = 5) -> str:
    return pair.a.run("ping", "-c", str(count), "-i", "0.01", "-W", "2", INNER["b"])


@contextlib.contextmanager
def reports(pair: Pair, code: int, mtu: int = 0) -> Iterator[None]:
    """Meanwhile tell side a, from side b's namespace, that datagrams of its own did not pass."""
    source, target = (socket.inet_aton(OUTER[x]) for x in "ab")
    esp = struct.pack("!II", pair.b.spi, 1) + bytes(32)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(esp), 0, 0, 64, 17, 0, source, target)
    quoted = header + struct.pack("!HHHH", 4500, 4500, 8 + len(esp), 0) + esp
    message = struct.pack("!BBHHH", ICMP_UNREACHABLE, code, 0, 0, mtu) + quoted
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    report = message[:2] + checksum.to_bytes(2) + message[4:]
    with inside(pair.b.namespace):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            raw.sendto(report, (OUTER["a"], 0))

    thread = threading.Thread(target=send)
    with raw:
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("outer6", [False, True], ids=["outer4", "outer6"])
def test_a_peer_with_esp_in_udp_has_a_line_that_carries_its_packets(
    make_pair: Callable[..., Pair], outer6: bool
) -> None:
    pair = make_pair(outer6=outer6, mtu=1406)
    assert lines(pair.a, v6=outer6) == 0
    pair.join()
    assert lines(pair.a, v6=outer6) == lines(pair.b, v6=outer6) == 1
    assert tcp_transfer(pair, INNER["a"], INNER["b"], OCTETS) == hashlib.sha256(OCTETS).hexdigest()
    # A second pair of SAs, as after a rekey, takes the same.
    pair.install()
    assert lines(pair.a, v6=outer6) == 1


def test_with_several_workers_or_plain_esp_there_is_no_line(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(b={"workers": 2})
    pair.join(plain="a")
    assert lines(pair.a) == lines(pair.b) == 0
    assert " 0% packet loss" in ping(pair)


def test_what_a_peer_sends_from_elsewhere_still_comes_in(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair()
    pair.join()
    run("ip", "-n", pair.a.namespace, "addr", "add", "10.201.0.9/24", "dev", "va")
    with inside(pair.a.namespace):
        pair.a.plane.update_endpoint(pair.a.handle, "10.201.0.9", 4500, OUTER["b"], 4500, udp_encap=True)
    assert lines(pair.a) == 2
    before = pair.b.counter("opened_packets")
    ping(pair, 1)
    assert pair.b.counter("opened_packets") == before + 1
    assert lines(pair.b) == 1


@pytest.mark.parametrize("code", [PORT_UNREACHABLE, FRAGMENTATION_NEEDED])
def test_forged_reports_take_neither_packets_nor_segmentation_from_a_line(
    make_pair: Callable[..., Pair], code: int
) -> None:
    pair = make_pair()
    pair.join()
    before = unreachable(pair.a)
    with reports(pair, code, mtu=600):
        wait_for(lambda: unreachable(pair.a)["InDestUnreachs"] > before["InDestUnreachs"])
        assert tcp_transfer(pair, INNER["a"], INNER["b"], OCTETS) == hashlib.sha256(OCTETS).hexdigest()
    assert pair.a.counter("segmentation_fallbacks") == pair.a.counter("drop_send_failed") == 0
    assert unreachable(pair.a)["InErrors"] == before["InErrors"]


def test_a_line_stands_the_loss_of_its_address(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair()
    pair.join()
    assert " 0% packet loss" in ping(pair)
    run("ip", "-n", pair.a.namespace, "addr", "del", f"{OUTER['a']}/24", "dev", "va")
    run("ip", "-n", pair.a.namespace, "addr", "add", f"{OUTER['a']}/24", "dev", "va")
    assert " 0% packet loss" in ping(pair)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("there", [1, 2])
def test_the_port_is_refused_to_a_second_gateway_although_it_is_shared(
    make_pair: Callable[..., Pair], there: int, workers: int
) -> None:
    pair = make_pair(workers=there)
    pair.join()
    with inside(pair.a.namespace), pytest.raises(OSError, match="UDP port 4500: .*in use"):
        _native.DataPlane(tun_name="ipsec1", workers=workers, ike_port=501)
    assert " 0% packet loss" in ping(pair)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("there", [1, 2])
def test_the_interface_is_refused_to_a_second_gateway_with_other_ports(
    make_pair: Callable[..., Pair], there: int, workers: int
) -> None:
    pair = make_pair(workers=there)
    pair.join()
    with inside(pair.a.namespace), pytest.raises(OSError, match="busy"):
        _native.DataPlane(tun_name="ipsec0", workers=workers, ike_port=501, nat_t_port=4501)
    assert " 0% packet loss" in ping(pair)


def test_a_second_gateway_that_is_refused_the_port_leaves_the_interface_as_it_is(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair(mtu=1300)
    with inside(pair.a.namespace), pytest.raises(OSError, match="UDP port"):
        _native.DataPlane(tun_name="ipsec0", mtu=1400)
    assert "mtu 1300" in pair.a.run("ip", "link", "show", "ipsec0")
