"""Rekeying and deleting with strongSwan's charon, from either side, under traffic."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from interop_peers import Charon, Sites, connected, ike_spis, inbound_spis, overrun, own_drops, set_up

from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until
from ironswan.lab.traffic import SequencedStream, Transfer

BOTH = pytest.mark.parametrize("starter", ["ironswan", "charon"])


@contextlib.contextmanager
def lossless_traffic(sites: Sites, ours: Gateway) -> Iterator[None]:
    """Numbered packets both ways and a TCP transfer; afterwards none of them may be missing that charon did take.

    What overran charon's socket or TUN, because it got no processor time, is neither side's protocol's fault.
    """
    left, right = sites.hosts
    streams = {"out": SequencedStream(left, right), "back": SequencedStream(right, left)}
    transfer = Transfer(left, right, 10_000_000, rate=10e6)
    try:
        yield
        assert transfer.intact(20)
        lost = {way: stream.finish() for way, stream in streams.items()}
        there = overrun(sites.right)
        assert lost["out"] <= there["socket"]
        assert lost["back"] <= there["queue"]
        assert own_drops(ours) == {}
        assert overrun(sites.left) == {"socket": 0, "queue": 0}
    finally:
        transfer.close()
        for stream in streams.values():
            stream.close()


def rekey_child(starter: str, ours: Gateway, charon: Charon) -> None:
    before = inbound_spis(ours)
    if starter == "ironswan":
        ours.command("rekey", kind="child", name="c")
    else:
        charon.swanctl("--rekey", "--child", "c")
    until(
        lambda: inbound_spis(ours) and not inbound_spis(ours) & before, 15, "the old Child SA is gone, a new one there"
    )


def rekey_ike(starter: str, ours: Gateway, charon: Charon) -> None:
    before = charon.ike_spis()
    if starter == "ironswan":
        ours.command("rekey", kind="ike", name="t")
    else:
        charon.swanctl("--rekey", "--ike", "t")
    until(lambda: (now := charon.ike_spis()) and not now & before and len(now) == 1, 10, "charon has a new IKE SA only")
    until(lambda: len(ike_spis(ours)) == 1, 10, "we have one IKE SA")


@BOTH
def test_child_rekey_under_traffic_loses_nothing(peers: Sites, starter: str) -> None:
    ours, charon = peers.ironswan(), peers.charon()
    set_up(ours, charon, "ironswan")
    with lossless_traffic(peers, ours):
        rekey_child(starter, ours, charon)
    assert len(charon.children()) == 1


@BOTH
def test_child_rekey_with_perfect_forward_secrecy_loses_nothing(peers: Sites, starter: str) -> None:
    terms = peers.terms.but(esp="aes256gcm16-x25519")
    ours, charon = peers.ironswan(terms), peers.charon(terms)
    set_up(ours, charon, "charon")
    with lossless_traffic(peers, ours):
        rekey_child(starter, ours, charon)


@BOTH
def test_ike_rekey_under_traffic_loses_nothing_and_keeps_the_child(peers: Sites, starter: str) -> None:
    ours, charon = peers.ironswan(), peers.charon()
    set_up(ours, charon, "ironswan")
    children = inbound_spis(ours)
    with lossless_traffic(peers, ours):
        rekey_ike(starter, ours, charon)
    assert inbound_spis(ours) == children


@BOTH
def test_child_can_be_rekeyed_after_the_ike_sa_was(peers: Sites, starter: str) -> None:
    ours, charon = peers.ironswan(), peers.charon()
    set_up(ours, charon, "charon")
    rekey_ike(starter, ours, charon)
    rekey_child("ironswan", ours, charon)
    rekey_child("charon", ours, charon)
    assert connected(peers)


@BOTH
def test_deleted_child_is_gone_at_both_ends_and_the_ike_sa_stays(peers: Sites, starter: str) -> None:
    ours, charon = peers.ironswan(), peers.charon()
    set_up(ours, charon, "ironswan")
    if starter == "ironswan":
        ours.command("down", name="c")
    else:
        charon.swanctl("--terminate", "--child", "c")
    until(lambda: not inbound_spis(ours) and not charon.children(), 10, "no Child SA at either end")
    assert len(ike_spis(ours)) == 1
    set_up(ours, charon, "ironswan")
    assert connected(peers)


@BOTH
def test_deleted_ike_sa_takes_its_child_along_at_both_ends(peers: Sites, starter: str) -> None:
    ours, charon = peers.ironswan(), peers.charon()
    set_up(ours, charon, "charon")
    if starter == "ironswan":
        ours.command("down", name="t")
    else:
        charon.swanctl("--terminate", "--ike", "t")
    until(lambda: not ike_spis(ours) and not charon.ike_spis(), 10, "no IKE SA at either end")
    assert not inbound_spis(ours)
    assert not charon.children()


def test_stopped_gateway_says_goodbye(peers: Sites) -> None:
    ours, charon = peers.ironswan(), peers.charon()
    set_up(ours, charon, "charon")
    assert ours.stop() == 0
    until(lambda: not charon.ike_spis(), 5, "charon was told")
