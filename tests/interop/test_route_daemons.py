"""A routing daemon decides what goes into a tunnel: FRR exchanges prefixes by BGP, through the tunnel itself."""

from __future__ import annotations

from interop_peers import OTHER, Sites, Terms
from routing_daemons import Bgp

from ironswan.lab.processes import until
from ironswan.lab.traffic import Host, Transfer, ping

EVERYTHING = Terms(selectors="0.0.0.0/0", child="interface = tun-a")
TUNNEL = {"left": "10.99.0.1", "right": "10.99.0.2"}
NET = {"left": "10.111.1.1", "right": "10.111.2.1"}
SYSTEM = {"left": 65001, "right": 65002}


def speak_bgp(routers: Sites, side: str) -> Host:
    """Give the tunnel's interface an address, and announce a prefix over it; the host there."""
    namespace, other = getattr(routers, side), OTHER[side]
    namespace.add_address("tun-a", f"{TUNNEL[side]}/30")
    namespace.add_address("lo", f"{NET[side]}/32")
    numbers = SYSTEM[side], SYSTEM[other]
    bgp = Bgp(namespace, numbers, TUNNEL[side], TUNNEL[other], f"{NET[side]}/32")
    routers.stack.callback(bgp.stop)
    return Host(namespace, NET[side])


def learnt(host: Host, prefix: str) -> bool:
    """Whether the daemon has put a route to the prefix into the kernel's table."""
    return any(f"type 1 {prefix}/32 " in route for route in host.namespace.routes())


def test_prefixes_learnt_through_the_tunnel_lead_into_it_and_go_with_it(routers: Sites) -> None:
    left, _ = routers.ironswan(EVERYTHING), routers.ironswan(EVERYTHING, "right")
    left.command("up", name="c", timeout=10)
    here, there = speak_bgp(routers, "left"), speak_bgp(routers, "right")

    def both() -> list[bool]:
        return [learnt(here, there.address), learnt(there, here.address)]

    until(lambda: all(both()), 30, "both sides have learnt the other's prefix")
    assert ping(here, there.address, 3).received == 3
    assert Transfer(here, there, 5_000_000).intact(20)
    assert Transfer(there, here, 5_000_000).intact(20)
    left.command("down", name="c", timeout=10)
    until(lambda: not any(both()), 30, "the routes are gone with the tunnel")
