"""Flows wait in lanes of their own: what is sent behind a bulk transfer does not wait for all of it."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ironswan.bench.tunnel.link import LINK_MTU, WHOLE, ground
from ironswan.bench.tunnel.peers import ironswan
from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until
from ironswan.lab.traffic import ping

ETH_P_IP = 0x0800
ICMP = 1
PORT = 7001
SIZE = 1000
BULK = 300


def states(gateway: Gateway) -> set[str]:
    """Those of its threads, each a letter."""
    stats = [(task / "stat").read_text() for task in Path(f"/proc/{gateway.pid}/task").iterdir()]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


@contextmanager
def halted(gateway: Gateway) -> Iterator[None]:
    """Its threads do nothing: what is routed into the tunnel waits."""
    os.kill(gateway.pid, signal.SIGSTOP)
    try:
        until(lambda: states(gateway) == {"T"}, 5, "all its threads are stopped")
        yield
    finally:
        os.kill(gateway.pid, signal.SIGCONT)


def echo_request() -> bytes:
    """With its checksum, which is all that is in it."""
    return struct.pack("!BBHHH", 8, 0, 0xF7FF, 0, 0)


def packets_out_of(tap: socket.socket) -> Iterator[tuple[int, int]]:
    """Protocol and octets behind the IP header of each packet that comes out of the tunnel; bulk comes merged."""
    while True:
        packet, (_, _, kind, *_) = tap.recvfrom(65535)
        if kind == socket.PACKET_HOST:
            yield packet[9], len(packet) - 20


@pytest.mark.usefixtures("privileged")
def test_a_ping_overtakes_the_bulk_that_was_sent_before_it(absent: Callable[[str], None]) -> None:
    with ground(WHOLE, LINK_MTU) as built:
        left, right = ironswan.connected(built)
        here, there = ironswan.hosts(built)
        until(lambda: ping(here, there.address, 1).received == 1, 10, "the tunnel carries packets")
        lanes = left.command("status")["dataplane"]["offloads"]["tun_lanes"]
        if not lanes:
            absent("needs CAP_BPF")
        interface = right.command("status")["dataplane"]["interface"]
        with (
            there.namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as tap,
            here.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as bulk,
            here.namespace.socket(socket.AF_INET, socket.SOCK_RAW, ICMP) as echo,
        ):
            tap.settimeout(10)
            tap.bind((interface, ETH_P_IP))
            bulk.bind((here.address, 0))
            with halted(left):
                for _ in range(BULK):
                    bulk.sendto(bytes(SIZE), (there.address, PORT))
                echo.sendto(echo_request(), (there.address, 0))
            before = 0
            for protocol, octets in packets_out_of(tap):
                if protocol == ICMP:
                    break
                before += octets // SIZE
        assert before < BULK / 2
