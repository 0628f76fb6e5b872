"""A path narrower than the TUN: senders are told, what may be cut is cut, and streams adapt (RFC 4301 8.2, A13)."""

import hashlib
import re
import subprocess

import pytest
from test_traffic import tcp_transfer
from two_gateways import INNER, INNER6, run

NARROW = 1300
# ESP in UDP over IPv4 with AES-GCM: 20 + 8 + 8 + 8 before, 16 after; payload and trailer a whole number of 16 octets.
FITS = (NARROW - 60) // 16 * 16 - 2


@pytest.fixture
def narrow(make_pair):
    pair = make_pair()
    pair.join()
    assert pair.a.plane.set_path_mtu(pair.a.handle, NARROW) == FITS
    assert pair.b.plane.set_path_mtu(pair.b.handle, NARROW) == FITS
    return pair


def big_ping(pair, target, octets, forbid="do"):
    words = ("ping", "-c", "1", "-W", "1", "-M", forbid, "-s", str(octets), target)
    return subprocess.run(
        ["ip", "netns", "exec", pair.a.namespace, *words], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("target", "header", "mtu"), [(INNER["b"], 28, FITS), (INNER6["b"], 48, 1280)])
def test_the_sender_of_what_is_too_big_is_told_how_long_it_may_be(narrow, target, header, mtu):
    """A13: the MTU told is the tunnel's; to IPv6 never less than 1280."""
    told = big_ping(narrow, target, 1370)
    assert re.search(rf"mtu ?= ?{mtu}\b", told.stdout + told.stderr)
    assert narrow.a.counter("too_big_told") == narrow.a.counter("drop_too_big") == 1
    assert narrow.a.plane.outbound_drops(narrow.a.handle)["drop_too_big"] == 1
    assert big_ping(narrow, target, mtu - header).returncode == 0
    assert narrow.a.counter("drop_too_big") == 1


def test_what_may_be_cut_is_carried(narrow):
    for x in "ab":
        run("ip", "-n", narrow.names[x], "link", "set", f"v{x}", "mtu", str(NARROW))
    assert big_ping(narrow, INNER["b"], 1370, "dont").returncode == 0
    assert narrow.a.counter("drop_too_big") == 0


@pytest.mark.parametrize("inner", [INNER, INNER6], ids=["inner4", "inner6"])
def test_a_stream_adapts_to_a_path_that_narrows(narrow, inner):
    octets = bytes(range(256)) * 20_000
    assert tcp_transfer(narrow, inner["a"], inner["b"], octets) == hashlib.sha256(octets).hexdigest()
    assert narrow.a.counter("too_big_told") > 0


def test_a_connection_gets_its_mss_for_the_narrow_path(narrow):
    for side in (narrow.a, narrow.b):
        side.plane.clamp_mss(1422)
    octets = bytes(range(256)) * 20_000
    assert tcp_transfer(narrow, INNER["a"], INNER["b"], octets) == hashlib.sha256(octets).hexdigest()
    assert narrow.a.counter("drop_too_big") == narrow.b.counter("drop_too_big") == 0


def test_a_path_without_a_known_mtu_takes_what_the_tun_takes(narrow):
    assert narrow.a.plane.set_path_mtu(narrow.a.handle, 0) > 65535
    assert big_ping(narrow, INNER["b"], 1370).returncode == 0
    with pytest.raises(ValueError, match="no "):
        narrow.a.plane.set_path_mtu(99, 1300)
