"""Setting up with each suite of IKE and ESP, and the keys that come of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenarios import child, connection, esp, established, ike, mirrored, network

from ironswan.crypto.prf import prf_plus
from ironswan.ike import events as ev
from ironswan.policy.proposals import default_proposals, parse_proposal
from ironswan.policy.transforms import Protocol

IKE_SUITES = [
    "aes128-sha256-x25519",
    "aes256-sha384-x25519",
    "aes256-sha512-x25519",
    "aes128gcm16-prfsha256-x25519",
    "aes256gcm16-prfsha512-x25519",
    "chacha20poly1305-prfsha256-x25519",
    "aes256ctr-sha512-x25519",
    "aes128ccm16-prfsha256-x25519",
]

ESP_SUITES = [
    "aes128gcm16",
    "aes256gcm16",
    "aes128gcm16-esn",
    "aes192gcm8",
    "aes128ccm16",
    "chacha20poly1305",
    "aes256gcm16iiv",
    "aes128gmac",
    "aes128-sha256",
    "aes256-sha512-esn",
    "aes192ctr-sha1",
    "aes128-sha256_96",
    "aes128-aesxcbc",
    "aes256-aescmac",
    "3des-sha1",
    "null-sha384",
]


@pytest.mark.parametrize("suite", IKE_SUITES)
def test_handshake_with_each_ike_suite(suite):
    established(connection(proposals=ike(suite))).consistent()


@pytest.mark.parametrize("suite", ESP_SUITES)
def test_child_with_each_esp_suite(suite):
    net = established(connection((child(esp_proposals=(parse_proposal(suite, Protocol.ESP),)),)))
    net.consistent()
    installed = net.moon.of(ev.ChildInstalled)[0].child
    assert (installed.suite, installed.esn) == (suite.removesuffix("-esn"), suite.endswith("-esn"))


@pytest.mark.parametrize(("suite", "length"), [("aes256-sha512", 32 + 64), ("aes128ctr-sha256", 16 + 4 + 32)])
def test_key_material_is_cut_initiator_first_and_each_half_whole(suite, length):
    """RFC 7296 2.17: all keys of one direction, encryption before integrity, before those of the other."""
    net = established(connection((child(esp_proposals=esp(suite)),)))
    [(sa, _)] = net.moon.engine._context.children.values()
    stream = prf_plus(sa.suite.prf, sa.keys.sk_d, sa.nonce_i + sa.nonce_r, 2 * length)
    initiator, responder = (host.of(ev.ChildInstalled)[0].child for host in (net.moon, net.sun))
    assert initiator.keymat_out == responder.keymat_in == stream[:length]
    assert initiator.keymat_in == responder.keymat_out == stream[length:]


def test_sha256_cut_off_at_96_bits_is_installed_not_negotiated_and_survives_rekeying():
    net = established(connection((child(esp_proposals=esp("aes128-sha256-x25519-none"), sha256_96=True),)))
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.turn(net.moon)
    net.run(10)
    net.consistent()
    for host in (net.moon, net.sun):
        assert [e.child.suite for e in host.of(ev.ChildInstalled)] == ["aes128-sha256_96"] * 2


def test_default_esp_proposals_meet_a_peer_without_aead():
    moon = connection((child(esp_proposals=default_proposals(Protocol.ESP)),))
    phone = tuple(replace(c, esp_proposals=esp("aes256-sha256-none")) for c in mirrored(moon).children)
    net = network(moon, mirrored(moon, children=phone))
    net.initiate(net.moon)
    net.run(5)
    net.consistent()
    assert net.sun.of(ev.ChildInstalled)[0].child.suite == "aes256-sha256"
