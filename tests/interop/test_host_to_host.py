"""Traffic of the gateways' own addresses: transport mode, and tunnel mode over the addresses that carry the tunnel."""

from __future__ import annotations

import pytest
from interop_peers import OUTER, WIRE, Sites, Terms, connected, ike_spis, inbound_spis, own_drops, set_up

from ironswan.control.protocol import CommandError
from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import LabError, until
from ironswan.lab.traffic import Host, SequencedStream, Transfer, ping

TRANSPORT = Terms(selectors="dynamic", child="mode = transport")
TUNNEL = Terms(selectors="dynamic")


def ends(wire: Sites) -> tuple[Host, Host]:
    """The gateways themselves."""
    return Host(wire.left, OUTER["left"]), Host(wire.right, OUTER["right"])


def mode(gateway: Gateway) -> str:
    """Of the one Child SA."""
    [ike] = gateway.command("status")["ike_sas"]
    return str(ike["children"][0]["mode"])


def strict(wire: Sites) -> None:
    """The kernel drops what comes in where it would not send to (RFC 3704 2.2)."""
    for namespace in (wire.left, wire.right):
        namespace.sysctl("net.ipv4.conf.all.rp_filter", 1)
        namespace.sysctl(f"net.ipv4.conf.{WIRE}.rp_filter", 1)


@pytest.mark.parametrize("rp_filter", ["off", "strict"])
@pytest.mark.parametrize("encap", ["yes", "no"], ids=["udp", "plain"])
@pytest.mark.parametrize("terms", [TRANSPORT, TUNNEL], ids=["transport", "tunnel"])
def test_two_hosts_talk_to_each_other_and_only_esp_is_seen(
    wire: Sites, terms: Terms, encap: str, rp_filter: str
) -> None:
    if rp_filter == "strict":
        strict(wire)
    left, right = (wire.ironswan(terms.but(encap=encap), side) for side in ("left", "right"))
    left.command("up", name="c", timeout=10)
    assert mode(left) == mode(right) == ("transport" if terms is TRANSPORT else "tunnel")
    assert left.command("status")["ike_sas"][0]["udp_encap"] == (encap == "yes")
    here, there = ends(wire)
    assert ping(here, there.address, 10).received == 10
    assert ping(there, here.address, 10).received == 10
    assert Transfer(here, there, 50_000_000).intact(30)
    assert Transfer(there, here, 50_000_000).intact(30)


def test_a_first_packet_sets_transport_mode_up_and_arrives(wire: Sites) -> None:
    terms = TRANSPORT.but(child="mode = transport\nstart_action = trap")
    left, _ = wire.ironswan(terms), wire.ironswan(terms, "right")
    here, there = ends(wire)
    assert ping(here, there.address, 3, patience=5).received == 3
    assert mode(left) == "transport"


def test_rekeying_transport_mode_loses_nothing(wire: Sites) -> None:
    left, right = wire.ironswan(TRANSPORT), wire.ironswan(TRANSPORT, "right")
    left.command("up", name="c", timeout=10)
    stream = SequencedStream(*ends(wire))
    for side in (left, right):
        before = inbound_spis(left)
        side.command("rekey", kind="child", name="c")
        until(lambda known=before: len(inbound_spis(left)) == 1 and not inbound_spis(left) & known, 15, "a new SA")
    assert stream.finish() == 0
    assert mode(left) == "transport"


def test_transport_mode_for_one_port_leaves_no_other_packet_in_clear(wire: Sites) -> None:
    """What of the peer no policy takes is dropped and counted: the routes know addresses only."""
    left, right = (
        wire.ironswan(TRANSPORT.but(selectors=f"dynamic[tcp/{5001 + number}], dynamic[udp/1701]"), side)
        for number, side in enumerate(("left", "right"))
    )
    left.command("up", name="c", timeout=10)
    here, there = ends(wire)
    assert ping(here, there.address, 3, patience=0.2).received == 0
    assert own_drops(left).get("drop_no_policy", 0) >= 3
    assert right.running


@pytest.mark.parametrize("rp_filter", ["off", "strict"])
def test_a_policy_for_everything_that_contains_the_peer_does_not_loop(wire: Sites, rp_filter: str) -> None:
    """Our own packets carry a mark and pass our table by."""
    if rp_filter == "strict":
        strict(wire)
    left = wire.ironswan(Terms().but(selectors="0.0.0.0/0"))
    wire.ironswan(Terms().but(selectors="0.0.0.0/0"), "right")
    left.command("up", name="c", timeout=10)
    assert connected(wire)
    here, there = ends(wire)
    assert Transfer(here, there, 10_000_000).intact(30)


# charon's own packets pass by the routes that kernel-libipsec makes to the peer, as its manual says.
BYPASS = "plugins { socket-default { fwmark = 0x42 } kernel-netlink { fwmark = !0x42 } }"


@pytest.mark.parametrize("initiator", ["ironswan", "charon"])
def test_strongswan_that_wants_tunnel_mode_gets_it(peers: Sites, initiator: str) -> None:
    """I79: transport mode only when both want it, else tunnel mode, which protects the same packets."""
    ours, theirs = peers.ironswan(TRANSPORT), peers.charon(TUNNEL.but(settings=BYPASS))
    set_up(ours, theirs, initiator)
    assert mode(ours) == "tunnel"
    assert "not in transport mode as configured" in ours.log_text()
    here, there = ends(peers)
    assert ping(here, there.address, 3).received == 3
    assert ping(there, here.address, 3).received == 3


def test_strongswan_agrees_on_transport_mode_and_its_own_esp_does_not(peers: Sites) -> None:
    """I79: charon hears our echo; its kernel-libipsec has tunnel mode only, so charon takes the child back."""
    ours, theirs = peers.ironswan(TRANSPORT), peers.charon(TRANSPORT.but(settings=BYPASS))
    with pytest.raises(LabError, match="establishing CHILD_SA 'c' failed"):
        theirs.initiate()
    assert "received USE_TRANSPORT_MODE notify" in theirs.log()
    assert "unsupported mode" in theirs.log()
    until(lambda: not inbound_spis(ours), 10, "the Child SA went")
    assert "transport mode" in ours.log_text()
    assert ike_spis(ours) == theirs.ike_spis()


def test_strongswan_that_cannot_install_transport_mode_refuses_it(peers: Sites) -> None:
    ours, theirs = peers.ironswan(TRANSPORT), peers.charon(TRANSPORT.but(settings=BYPASS))
    with pytest.raises(CommandError):
        ours.command("up", name="c", timeout=10)
    assert "N(USE_TRANSP)" in theirs.log()
    assert "unsupported mode" in theirs.log()
    assert not inbound_spis(ours)
    assert ike_spis(ours) == theirs.ike_spis()
