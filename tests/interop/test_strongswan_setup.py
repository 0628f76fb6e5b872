"""Setting tunnels up with strongSwan's charon, from either side, with suites of IKE of every kind."""

from __future__ import annotations

import pytest
from interop_peers import Sites, Terms, connected, set_up

from ironswan.lab.processes import until
from ironswan.lab.traffic import Transfer, ping

SUITES = [
    ("aes128gcm16-prfsha256-x25519", "aes128gcm16"),
    ("aes128gcm16-prfsha256-ecp256", "aes256gcm16"),
    ("aes256-sha256-modp2048", "chacha20poly1305"),
    ("aes256gcm16-prfsha384-ecp384", "aes128gcm16"),
    ("chacha20poly1305-prfsha512-modp3072", "chacha20poly1305"),
    ("aes128-sha512-ecp521", "aes256gcm16"),
    ("aes256ctr-sha256-x25519", "aes128gcm16"),
    ("aes128ccm16-prfsha256-x25519", "aes128gcm16"),
    ("aes256ccm8-prfsha384-ecp256", "aes128gcm16"),
    ("aes256gcm8-prfsha256-x25519", "aes128gcm16"),
]


@pytest.mark.parametrize("initiator", ["ironswan", "charon"])
@pytest.mark.parametrize(("ike", "esp"), SUITES)
def test_tunnel_carries_pings_both_ways(peers: Sites, ike: str, esp: str, initiator: str) -> None:
    terms = Terms(ike=ike, esp=esp)
    ours, theirs = peers.ironswan(terms), peers.charon(terms)
    set_up(ours, theirs, initiator)
    left, right = peers.hosts
    assert ping(left, right.address, 10).received == 10
    assert ping(right, left.address, 10).received == 10


@pytest.mark.parametrize("initiator", ["ironswan", "charon"])
def test_a_hundred_megabytes_arrive_unchanged_in_both_directions(peers: Sites, initiator: str) -> None:
    set_up(peers.ironswan(), peers.charon(), initiator)
    left, right = peers.hosts
    assert Transfer(left, right, 100_000_000).intact(30)
    assert Transfer(right, left, 100_000_000).intact(30)


@pytest.mark.parametrize("initiator", ["ironswan", "charon"])
def test_wrong_first_key_exchange_is_retried_with_the_one_asked_for(peers: Sites, initiator: str) -> None:
    """RFC 7296 1.2: INVALID_KE_PAYLOAD names the method to use, the initiator starts over with it."""
    both, one = Terms(ike="aes128gcm16-prfsha256-x25519-modp2048"), Terms(ike="aes128gcm16-prfsha256-modp2048")
    mine, theirs = (both, one) if initiator == "ironswan" else (one, both)
    ours, charon = peers.ironswan(mine), peers.charon(theirs)
    set_up(ours, charon, initiator)
    assert "INVAL_KE" in charon.log()
    assert "modp2048" in ours.command("status")["ike_sas"][0]["suite"]
    assert connected(peers)


@pytest.mark.parametrize("initiator", ["ironswan", "charon"])
def test_messages_larger_than_a_packet_are_fragmented_both_ways(peers: Sites, initiator: str) -> None:
    """RFC 7383: a hundred selectors make IKE_AUTH larger than fragment_size."""
    terms = Terms(many=100)
    ours, charon = peers.ironswan(terms), peers.charon(terms)
    set_up(ours, charon, initiator)
    log = charon.log()
    assert "splitting IKE message" in log
    assert "EF(2/2)" in log.replace(" ]", "")
    assert "received fragment" in log
    assert connected(peers)


def test_first_packet_of_a_trapped_child_sets_it_up_and_is_delivered(peers: Sites) -> None:
    peers.charon()
    ours = peers.ironswan(Terms(child="start_action = trap"))
    assert not ours.command("status")["ike_sas"]
    left, right = peers.hosts
    found = ping(left, right.address, 5, patience=5)
    assert found.received == 5


def test_child_with_start_action_start_comes_up_by_itself(peers: Sites) -> None:
    charon = peers.charon()
    peers.ironswan(Terms(child="start_action = start"))
    charon.until_child()
    assert connected(peers)


def test_killed_gateway_keeps_the_protected_unreadable_and_comes_back_clean(peers: Sites) -> None:
    charon = peers.charon()
    before = peers.left_state()
    ours = peers.ironswan()
    set_up(ours, charon, "ironswan")
    ours.kill()
    until(lambda: peers.left.interfaces() == before.interfaces, 5, "the TUN device went with its process")
    left, right = peers.hosts
    assert ping(left, right.address, 2, patience=0.2).received == 0
    ours.start()
    set_up(ours, charon, "ironswan")
    assert connected(peers)
    assert ours.stop() == 0
    assert peers.left_state() == before
