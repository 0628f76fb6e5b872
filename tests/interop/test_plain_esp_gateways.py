"""`encap = no`: plain ESP between gateways that no NAT separates, and UDP with a peer that wants it all the same."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter

import pytest
from interop_peers import WIRE, Sites, Terms, connected, inbound_spis, set_up

from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until
from ironswan.lab.traffic import SequencedStream, Transfer, ping

PLAIN = Terms(encap="no")


def counters(gateway: Gateway) -> dict[str, int]:
    """What the data plane has counted."""
    found: dict[str, int] = gateway.command("status")["dataplane"]["counters"]
    return found


def test_two_gateways_carry_bulk_traffic_in_plain_esp(wire: Sites) -> None:
    left, right = wire.ironswan(PLAIN), wire.ironswan(PLAIN, "right")
    left.command("up", name="c", timeout=10)
    assert not left.command("status")["ike_sas"][0]["udp_encap"]
    here, there = wire.hosts
    assert ping(here, there.address, 20).received == 20
    assert Transfer(here, there, 50_000_000).intact(30)
    assert Transfer(there, here, 50_000_000).intact(30)
    for gateway in (left, right):
        counted = counters(gateway)
        assert counted["udp_datagrams"] == counted["ike_datagrams"]
        assert counted["plain_packets"] > counted["plain_raw_packets"]
        # IKE has just spoken with the peer: it is a neighbour, and gets frames from the first packets on.
        assert counted["plain_sends"] > 10 * counted["plain_raw_sends"]


@pytest.mark.parametrize(("encap", "expected"), [("no", "plain"), ("yes", "udp")])
def test_the_wire_shows_the_one_form_of_esp_that_was_asked_for(wire: Sites, encap: str, expected: str) -> None:
    left, _ = (wire.ironswan(Terms(encap=encap), side) for side in ("left", "right"))
    left.command("up", name="c", timeout=10)
    here, there = wire.hosts
    seen: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        # What a packet socket sends past the queues is seen where it arrives only.
        taps = [stack.enter_context(tap(wire, side)) for side in ("left", "right")]
        assert ping(here, there.address, 20).received == 20
        for each in taps:
            seen.update(forms(each))
    assert set(seen) <= {expected, "ike"}
    assert seen[expected] == 40


def tap(wire: Sites, side: str) -> socket.socket:
    opened: socket.socket = getattr(wire, side).socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    opened.bind((WIRE, 0x0800))
    opened.setblocking(False)
    return opened


def forms(tapped: socket.socket) -> list[str]:
    """What each packet was that has arrived."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            packet, address = tapped.recvfrom(65536)
            if address[2] == socket.PACKET_HOST:
                found.append(form(packet))
    return found


def form(packet: bytes) -> str:
    if packet[9] == socket.IPPROTO_ESP:
        return "plain"
    # RFC 3948, 2.2: IKE begins with four octets of zero where ESP has its SPI.
    ports = {int.from_bytes(packet[at : at + 2]) for at in (20, 22)}
    return "ike" if 500 in ports or packet[28:32] == bytes(4) else "udp"


def test_a_rekey_of_plain_esp_loses_nothing(wire: Sites) -> None:
    left, right = wire.ironswan(PLAIN), wire.ironswan(PLAIN, "right")
    left.command("up", name="c", timeout=10)
    stream = SequencedStream(*wire.hosts)
    before = inbound_spis(left)
    left.command("rekey", kind="child", name="c", timeout=10)
    until(lambda: len(inbound_spis(right)) == 1 and not inbound_spis(left) & before, 15, "one new Child SA")
    assert stream.finish() == 0


@pytest.mark.parametrize("initiator", ["ironswan", "charon"])
def test_a_peer_that_forces_encapsulation_gets_esp_in_udp(wire: Sites, initiator: str) -> None:
    ours, charon = wire.ironswan(PLAIN), wire.charon()
    set_up(ours, charon, initiator)
    assert connected(wire)
    assert ours.command("status")["ike_sas"][0]["udp_encap"]
    assert counters(ours)["plain_packets"] == 0
