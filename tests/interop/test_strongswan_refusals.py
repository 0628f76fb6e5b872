"""What goes wrong with strongSwan's charon, and whether we say so in words an operator can act on."""

from __future__ import annotations

import socket
import subprocess

import pytest
from interop_peers import OUTER, Charon, Sites, Terms, inbound_spis

from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until

PEER_REFUSED = 6


def up(ours: Gateway) -> subprocess.CompletedProcess[str]:
    """`ironswan up c` as an operator types it."""
    return subprocess.run(ours.command_line("up", "c"), text=True, capture_output=True, timeout=60, check=False)


def attempt(charon: Charon) -> str:
    """Let charon try; what it told its operator."""
    done = charon.swanctl("--initiate", "--child", "c", "--timeout", "10", check=False)
    assert done.returncode
    return done.stdout + done.stderr


def test_wrong_secret_as_initiator_is_named_and_has_its_exit_code(peers: Sites) -> None:
    ours, _ = peers.ironswan(), peers.charon(Terms(secret="another one"))
    done = up(ours)
    assert done.returncode == PEER_REFUSED
    assert "AUTHENTICATION_FAILED" in done.stderr
    assert "secret" in done.stderr
    assert not ours.command("status")["ike_sas"]


def test_wrong_secret_as_responder_is_refused_and_logged(peers: Sites) -> None:
    ours, charon = peers.ironswan(), peers.charon(Terms(secret="another one"))
    assert "AUTH_FAILED" in attempt(charon)
    until(lambda: "authentication" in ours.log_text().lower(), 5, "our log says so")
    assert "a secret for tests only" not in ours.log_text()
    assert not ours.command("status")["ike_sas"]


def test_no_common_ike_proposal_as_initiator_names_what_we_offered(peers: Sites) -> None:
    ours, _ = peers.ironswan(), peers.charon(Terms(ike="aes256-sha512-modp4096"))
    done = up(ours)
    assert done.returncode == PEER_REFUSED
    assert "NO_PROPOSAL_CHOSEN" in done.stderr
    assert "x25519" in done.stderr


@pytest.mark.parametrize(
    ("theirs", "kind", "offered", "line"),
    [
        ("aes128gcm16-prfsha256-modp2048", "key exchange", "modp2048", "aes128gcm16-prfsha256-modp2048"),
        ("aes256gcm16-prfsha256-x25519", "encryption", "aes256gcm16", "aes256gcm16-prfsha256-x25519"),
        ("aes128gcm16-prfsha512-x25519", "pseudorandom", "prfsha512", "aes128gcm16-prfsha512-x25519"),
    ],
)
def test_no_common_ike_proposal_as_responder_names_the_transform_and_the_line_to_add(
    peers: Sites, theirs: str, kind: str, offered: str, line: str
) -> None:
    ours, charon = peers.ironswan(), peers.charon(Terms(ike=theirs))
    assert "NO_PROP" in attempt(charon)
    told = until(lambda: next((x for x in ours.log_text().splitlines() if "no common" in x), ""), 5, "our log says why")
    assert kind in told.lower()
    assert offered in told
    assert line in told


def test_no_common_esp_proposal_as_responder_names_the_line_to_add(peers: Sites) -> None:
    ours, charon = peers.ironswan(), peers.charon(Terms(esp="aes256gcm16"))
    assert "NO_PROP" in attempt(charon)
    told = until(lambda: next((x for x in ours.log_text().splitlines() if "no common" in x), ""), 5, "our log says why")
    assert "aes128gcm16" in told
    assert "aes256gcm16" in told
    assert "esp_proposals" in told
    assert not inbound_spis(ours)


def test_no_common_esp_proposal_as_initiator_is_told(peers: Sites) -> None:
    ours, _ = peers.ironswan(), peers.charon(Terms(esp="aes256gcm16"))
    done = up(ours)
    assert done.returncode == PEER_REFUSED
    assert "NO_PROPOSAL_CHOSEN" in done.stderr
    assert not inbound_spis(ours)


def test_unacceptable_selectors_as_initiator_are_told(peers: Sites) -> None:
    ours, _ = peers.ironswan(), peers.charon(Terms(selectors="10.99.0.0/24"))
    done = up(ours)
    assert done.returncode == PEER_REFUSED
    assert "TS_UNACCEPTABLE" in done.stderr
    assert not inbound_spis(ours)


def test_silent_peer_is_a_timeout_and_not_a_refusal(wire: Sites) -> None:
    ours = wire.ironswan()
    with wire.right.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind((OUTER["right"], 500))
        done = subprocess.run(
            ours.command_line("up", "c", "--timeout", "2"), text=True, capture_output=True, timeout=30, check=False
        )
    assert done.returncode == 7
    assert "192.0.2.2" in done.stderr
