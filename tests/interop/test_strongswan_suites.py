"""Every ESP suite that strongSwan 5.9.8 has in user space, from either side.

Its libipsec takes any cipher and signer that charon's plugins offer, without AES-GMAC, implicit IVs and (unless the
kernel has AF_ALG) HMAC-SHA-256 cut off at 96 bits: those are tested between two gateways of ours.
"""

from __future__ import annotations

import contextlib

import pytest
from interop_peers import Sites, Terms, connected, inbound_spis, set_up

from ironswan.control.client import CommandError
from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until
from ironswan.lab.traffic import Transfer

BOTH = pytest.mark.parametrize("initiator", ["ironswan", "charon"])
SUITES = [
    "aes128gcm12",
    "aes192gcm16",
    "aes256gcm8",
    "aes128ccm16",
    "aes192ccm12",
    "aes256ccm8",
    "aes128-sha256",
    "aes192-sha256",
    "aes256-sha384",
    "aes256-sha512",
    "aes128-sha1",
    "aes128-aesxcbc",
    "aes256-aescmac",
    "aes128ctr-sha256",
    "aes256ctr-sha512",
    "3des-sha1",
    "null-sha256",
]


def carries(pair: Sites) -> bool:
    """Pings and a TCP transfer each way."""
    left, right = pair.hosts
    return (
        connected(pair) and Transfer(left, right, 2_000_000).intact(20) and Transfer(right, left, 2_000_000).intact(20)
    )


def suite_in_use(ours: Gateway) -> str:
    """The suite of the one Child SA."""
    [ike] = ours.command("status")["ike_sas"]
    return str(ike["children"][0]["suite"])


@BOTH
@pytest.mark.parametrize("esp", SUITES)
def test_suite_carries_pings_and_tcp_both_ways(peers: Sites, esp: str, initiator: str) -> None:
    """RFC 7296 2.17: with the keys of KEYMAT in any other order nothing would be authentic."""
    peers.readable = esp.startswith("null")
    terms = Terms(esp=esp)
    ours = peers.ironswan(terms)
    set_up(ours, peers.charon(terms), initiator)
    assert suite_in_use(ours) == esp
    assert carries(peers)


@BOTH
def test_peer_without_aead_meets_the_second_default_proposal(peers: Sites, initiator: str) -> None:
    ours = peers.ironswan(Terms(esp="default"))
    set_up(ours, peers.charon(Terms(esp="aes256-sha1, aes256-sha256")), initiator)
    assert suite_in_use(ours) == "aes256-sha256"
    assert carries(peers)


@BOTH
def test_both_defaults_meet(peers: Sites, initiator: str) -> None:
    ours = peers.ironswan(Terms(esp="default"))
    set_up(ours, peers.charon(Terms(esp="default")), initiator)
    assert carries(peers)


@BOTH
def test_rekeying_with_forward_secrecy_keeps_a_suite_with_integrity_keys(peers: Sites, initiator: str) -> None:
    terms = Terms(esp="aes256-sha512-modp2048")
    ours, charon = peers.ironswan(terms), peers.charon(terms)
    set_up(ours, charon, initiator)
    before = inbound_spis(ours)
    if initiator == "ironswan":
        ours.command("rekey", kind="child", name="c")
    else:
        charon.swanctl("--rekey", "--child", "c")
    until(lambda: inbound_spis(ours) and not inbound_spis(ours) & before, 15, "a new Child SA in place of the old one")
    assert suite_in_use(ours) == "aes256-sha512"
    assert carries(peers)


def test_private_number_of_the_truncated_sha256_is_strongswans(peers: Sites) -> None:
    """A transform of private use means something only because both sides read it alike."""
    terms = Terms(esp="aes128-sha256_96", settings="accept_private_algs = yes")
    ours, charon = peers.ironswan(terms), peers.charon(terms)
    with contextlib.suppress(CommandError):  # charon may know the number and have no code for it
        ours.command("up", name="c", timeout=10)
    until(lambda: "ESP:AES_CBC_128/HMAC_SHA2_256_96" in charon.log(), 5, "charon has chosen it")
