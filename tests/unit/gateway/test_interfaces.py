"""Children with an interface of their own: made, used, kept out of the routing table, removed."""

from __future__ import annotations

import pytest
from gateway_pairs import NET, Side, child, configuration, play

from ironswan.control.protocol import CommandError
from ironswan.gateway import commands
from ironswan.policy.connection import Configuration, StartAction

OWN = configuration("left", children=(child("left", interface="tun-a", start_action=StartAction.TRAP),))


def reload_to(monkeypatch: pytest.MonkeyPatch, new: Configuration) -> None:
    monkeypatch.setattr(commands, "load", lambda _: new)


def test_policies_and_sas_of_a_child_are_on_its_interface() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        assert left.plane.interfaces == {1: "tun-a"}
        assert {sa.interface for sa in left.plane.inbound.values()} == {1}
        assert {policy.interface for policy in left.plane.policies.values()} == {1}
        (sa,) = (await left.do("status"))["ike_sas"]
        assert [each["interface"] for each in sa["children"]] == ["tun-a"]

    play(scenario, OWN)


def test_routes_are_the_operators() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await left.gateway.protection.settled()
        assert left.network.routes == set()
        assert left.gateway.protection.held() == frozenset()
        assert right.network.kinds(NET["left"])

    play(scenario, OWN)


def test_an_interface_goes_with_the_last_that_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        reload_to(monkeypatch, configuration("left"))
        await left.do("reload")
        assert left.plane.interfaces == {1: "tun-a"}
        await left.do("down", name="lan")
        assert left.plane.interfaces == {}
        reload_to(monkeypatch, OWN)
        await left.do("reload")
        assert left.plane.interfaces == {2: "tun-a"}

    play(scenario, OWN)


def test_a_reload_with_an_interface_that_cannot_be_made_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(left: Side, _: Side) -> None:
        left.plane.interfaces[9] = "tun-a"
        before = left.gateway.configuration
        reload_to(monkeypatch, OWN)
        with pytest.raises(CommandError, match="cannot make the interface tun-a"):
            await left.do("reload")
        assert left.gateway.configuration is before

    play(scenario)
