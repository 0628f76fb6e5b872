"""Plain ESP in the gateway: SAs without UDP, and the neighbours their frames go to."""

from __future__ import annotations

from ipaddress import ip_address

from gateway_pairs import ADDRESS, Side, configuration, play

from ironswan.gateway.next_hops import REFRESH, NextHop

NEIGHBOUR = NextHop(7, 1500, bytes.fromhex("020000000001"))
PLAIN = {side: configuration(side, encap=False) for side in ("left", "right")}


def hops(side: Side) -> list[object]:
    return [sa.next_hop for sa in side.plane.outbound.values()]


def test_without_a_nat_encap_no_means_plain_esp() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        for side in (left, right):
            assert [sa.udp_encap for sa in side.plane.outbound.values()] == [False]

    play(scenario, PLAIN["left"], PLAIN["right"])


def test_a_peer_that_forces_encapsulation_has_it() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        for side in (left, right):
            assert [sa.udp_encap for sa in side.plane.outbound.values()] == [True]

    play(scenario, PLAIN["left"], configuration("right"))


def test_a_neighbour_is_told_to_the_data_plane_and_a_change_of_it_too() -> None:
    async def scenario(left: Side, _: Side) -> None:
        remote = ip_address(ADDRESS["right"])
        left.network.next_hops[remote] = NEIGHBOUR
        await left.do("up", name="lan")
        await left.until(lambda: hops(left) == [(7, 1500, NEIGHBOUR.address)])
        asked = left.gateway.now
        del left.network.next_hops[remote]
        left.gateway.paths.next_hops.tick(asked + REFRESH)
        await left.until(lambda: hops(left) == [(0, 0, None)])

    play(scenario, PLAIN["left"], PLAIN["right"])


def test_nobody_is_asked_between_two_rounds_unless_there_is_a_new_sa() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        await left.until(lambda: hops(left) == [(0, 0, None)])
        left.network.next_hops[ip_address(ADDRESS["right"])] = NEIGHBOUR
        left.gateway.paths.next_hops.tick(left.gateway.now + REFRESH / 2)
        await left.do("status")
        assert hops(left) == [(0, 0, None)]
        left.gateway.paths.next_hops.moved()
        left.gateway.paths.next_hops.tick(left.gateway.now)
        await left.until(lambda: hops(left) == [(7, 1500, NEIGHBOUR.address)])

    play(scenario, PLAIN["left"], PLAIN["right"])


def test_sas_in_udp_need_no_neighbour() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        left.gateway.paths.next_hops.tick(left.gateway.now + 2 * REFRESH)
        await left.do("status")
        assert hops(left) == [None]

    play(scenario)
