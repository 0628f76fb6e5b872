"""`interface = NAME`: routes decide what goes into a tunnel, and the same inner networks may be behind several."""

from __future__ import annotations

import pytest
from interop_peers import INNER, OTHER, Sites, Terms, connected, inbound_spis, set_up

from ironswan.lab.processes import until
from ironswan.lab.traffic import SequencedStream, Transfer, ping

EVERYTHING = Terms(selectors="0.0.0.0/0", child="interface = tun-a")


def route(wire: Sites) -> None:
    """Each side's route to the other's protected address, as an operator would add it."""
    for namespace, side in ((wire.left, "left"), (wire.right, "right")):
        namespace.add_device_route(f"{INNER[OTHER[side]]}/32", "tun-a", INNER[side])


@pytest.mark.parametrize("encap", ["yes", "no"], ids=["udp", "plain"])
def test_what_is_routed_into_the_interface_is_carried(wire: Sites, encap: str) -> None:
    terms = EVERYTHING.but(encap=encap)
    left, _ = wire.ironswan(terms), wire.ironswan(terms, "right")
    route(wire)
    left.command("up", name="c", timeout=10)
    assert left.command("status")["ike_sas"][0]["children"][0]["interface"] == "tun-a"
    assert connected(wire)
    here, there = wire.hosts
    assert Transfer(here, there, 20_000_000).intact(20)
    assert Transfer(there, here, 20_000_000).intact(20)
    # The gateways still reach each other: the policy covers everything, yet nothing of it is in our table.
    assert not any(each.startswith("220 ") for each in wire.left.routes())


def test_a_packet_brings_the_tunnel_up_and_a_rekey_loses_nothing(wire: Sites) -> None:
    terms = EVERYTHING.but(child="interface = tun-a\n        start_action = trap")
    left, right = wire.ironswan(terms), wire.ironswan(EVERYTHING, "right")
    route(wire)
    here, there = wire.hosts
    until(lambda: ping(here, there.address, 1).received == 1, 10, "a packet has brought the tunnel up")
    stream, before = SequencedStream(*wire.hosts), inbound_spis(left)
    left.command("rekey", kind="child", name="c", timeout=10)
    until(lambda: len(inbound_spis(right)) == 1 and not inbound_spis(left) & before, 15, "one new Child SA")
    assert stream.finish() == 0


def test_without_an_sa_nothing_leaves_by_another_way(wire: Sites) -> None:
    wire.ironswan(EVERYTHING)
    wire.left.add_device_route(f"{INNER['right']}/32", "tun-a", INNER["left"])
    here, there = wire.hosts
    assert ping(here, there.address, 3, patience=0.2).received == 0


def test_the_interface_comes_and_goes_with_the_configuration(wire: Sites) -> None:
    left = wire.ironswan(Terms())
    assert "tun-a" not in wire.left.interfaces()
    left.configure(EVERYTHING.text("left"))
    left.command("reload")
    assert "tun-a" in wire.left.interfaces()
    left.configure(Terms().text("left"))
    left.command("reload")
    until(lambda: "tun-a" not in wire.left.interfaces(), 10, "the interface is gone")


@pytest.mark.parametrize("initiator", ["ironswan", "charon"])
def test_strongswan_with_selectors_of_its_own_is_reached_through_the_interface(peers: Sites, initiator: str) -> None:
    """Ours cover everything and are narrowed to the peer's (RFC 7296 2.9); our routes choose, as with any other."""
    ours, charon = peers.ironswan(EVERYTHING), peers.charon()
    set_up(ours, charon, initiator)
    here, there = peers.hosts
    peers.left.add_device_route(f"{INNER['right']}/32", "tun-a", INNER["left"])
    assert connected(peers)
    before = inbound_spis(ours)
    ours.command("rekey", kind="child", name="c", timeout=10)
    until(lambda: inbound_spis(ours) and not inbound_spis(ours) & before, 15, "a new Child SA")
    assert Transfer(here, there, 5_000_000).intact(20)
    assert Transfer(there, here, 5_000_000).intact(20)
