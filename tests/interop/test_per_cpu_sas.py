"""Child SAs for single workers (RFC 9611): two gateways with two workers each, and a peer that knows none of it."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interop_peers import INNER, WIRE, Sites, Terms, connected, inbound_spis, set_up, sites

from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until
from ironswan.lab.traffic import Host, SequencedStream, Transfer

YES, ENCAP = (Terms(child=f"per_cpu_sas = {word}") for word in ("yes", "encap"))
FLOWS = 48


def gateway(wire: Sites, terms: Terms, side: str) -> Gateway:
    """One with two workers."""
    one = wire.ironswan(terms, side, start=False)
    one.configure(f"{terms.text(side)}settings {{\n  workers = 2\n}}\n")
    one.start()
    return one


def many_flows(source: Host, destination: Host) -> None:
    """A few datagrams of each of many flows, which the TUN spreads over its queues; nothing is said in return."""
    with destination.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((destination.address, 9))
        for _ in range(FLOWS):
            with source.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
                flow.bind((source.address, 0))
                for _ in range(4):
                    flow.sendto(b"of a flow", (destination.address, 9))


def children(gateway: Gateway) -> list[dict[str, Any]]:
    """Its Child SAs."""
    return [child for ike in gateway.command("status")["ike_sas"] for child in ike["children"]]


def served(gateway: Gateway) -> list[int | None]:
    """The workers for which there are Child SAs, None for all, in order."""
    return sorted((child["worker"] for child in children(gateway)), key=lambda worker: -1 if worker is None else worker)


def joined(wire: Sites, terms: Terms = YES) -> tuple[Gateway, Gateway]:
    """Two gateways whose workers all have an SA of their own, because those of the left had packets."""
    left, right = gateway(wire, terms, "left"), gateway(wire, terms, "right")
    left.command("up", name="c", timeout=10)

    def complete() -> bool:
        many_flows(*wire.hosts)
        return served(left) == served(right) == [None, 0, 1]

    until(complete, 15, "each worker has a Child SA beside the one for all")
    return left, right


def test_workers_send_on_sas_of_their_own_and_each_lands_on_its_worker(wire: Sites) -> None:
    left, right = joined(wire)
    before = {child["worker"]: child["packets_out"] for child in children(left)}
    then = right.command("status")["dataplane"]["worker_counters"]
    many_flows(*wire.hosts)
    sent = {child["worker"]: child["packets_out"] - before[child["worker"]] for child in children(left)}
    assert sent[None] == 0
    assert sent[0] + sent[1] == FLOWS * 4
    assert sent[0] > 0
    assert sent[1] > 0

    def opened() -> list[int]:
        now = right.command("status")["dataplane"]["worker_counters"]
        return [after["opened_packets"] - before["opened_packets"] for after, before in zip(now, then, strict=True)]

    until(lambda: sum(opened()) == FLOWS * 4, 5, "the right has opened all")
    assert sorted(opened()) == sorted((sent[0], sent[1]))
    status = left.command("status")["dataplane"]
    assert (status["workers"], status["offloads"]["spi_steering"]) == (2, True)
    here, there = wire.hosts
    assert Transfer(here, there, 20_000_000).intact(30)
    assert Transfer(there, here, 20_000_000).intact(30)


@pytest.mark.parametrize("side", ["left", "right"])
def test_every_sa_is_rekeyed_for_the_worker_it_was_for_and_nothing_is_lost(wire: Sites, side: str) -> None:
    both = joined(wire)
    before = [inbound_spis(one) for one in both]
    streams = [SequencedStream(*wire.hosts), SequencedStream(*reversed(wire.hosts))]
    both[side == "right"].command("rekey", name="c", kind="child", timeout=10)
    for one, old in zip(both, before, strict=True):
        until(lambda one=one, old=old: len(inbound_spis(one)) == 3 and not inbound_spis(one) & old, 15, "three new SAs")
        assert served(one) == [None, 0, 1]
    assert [stream.finish() for stream in streams] == [0, 0]


def test_workers_of_both_sides_that_ask_at_once_all_get_one(wire: Sites) -> None:
    left, right = gateway(wire, YES, "left"), gateway(wire, YES, "right")
    left.command("up", name="c", timeout=10)

    def complete() -> bool:
        many_flows(*wire.hosts)
        many_flows(*reversed(wire.hosts))
        return served(left) == served(right) == [None, 0, 1]

    until(complete, 15, "each worker has a Child SA beside the one for all")
    here, there = wire.hosts
    assert Transfer(here, there, 5_000_000).intact(30)
    assert Transfer(there, here, 5_000_000).intact(30)


def test_a_deleted_group_leaves_nothing_and_comes_again(wire: Sites) -> None:
    left, right = joined(wire)
    left.command("down", name="t", timeout=10)
    until(lambda: not inbound_spis(left) | inbound_spis(right), 15, "no Child SA is left")
    left.command("up", name="c", timeout=10)
    assert connected(wire)


def test_with_encap_each_worker_sends_from_a_port_of_its_own(privileged: None, tmp_path: Path) -> None:
    with sites(tmp_path) as pair:
        joined(pair, ENCAP)
        with pair.right.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as tap:
            tap.bind((WIRE, 0x0800))
            tap.settimeout(1)
            many_flows(*pair.hosts)
            assert connected(pair)
            packets = [packet for packet, address in received(tap) if address[2] != socket.PACKET_OUTGOING]
    assert {(packet[9], *struct.unpack_from("!H", packet, 22)) for packet in packets} == {(socket.IPPROTO_UDP, 4500)}
    esp = {struct.unpack_from("!H", packet, 20)[0] for packet in packets if packet[28:32] != bytes(4)}
    assert len(esp) == 2
    assert 4500 not in esp


def received(tap: socket.socket) -> Iterator[tuple[bytes, tuple[Any, ...]]]:
    """Everything until nothing comes any more."""
    with contextlib.suppress(TimeoutError):
        while True:
            yield tap.recvfrom(65536)


@pytest.mark.parametrize("initiator", ["ironswan", "strongswan"])
def test_strongswan_without_rfc_9611_goes_on_with_one_child(peers: Sites, initiator: str) -> None:
    ours, charon = gateway(peers, YES, "left"), peers.charon()
    set_up(ours, charon, initiator)
    here, there = peers.hosts
    many_flows(here, there)
    many_flows(there, here)
    assert connected(peers)
    assert Transfer(here, there, 5_000_000).intact(30)
    assert served(ours) == [None]
    assert len(inbound_spis(ours)) == len(charon.children()) == 1
    assert children(ours)[0]["local_ts"] == [f"{INNER['left']}/32"]
