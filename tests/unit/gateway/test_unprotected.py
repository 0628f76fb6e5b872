"""What the kernel does not let us protect is down and says why: it is never up with its packets in clear."""

from __future__ import annotations

import pytest
from gateway_pairs import NET, Side, child, configuration, play

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.gateway import commands
from ironswan.gateway.routes import Kind, Route, VersionOff
from ironswan.policy.connection import StartAction
from ironswan.policy.selectors import parse_selector

THEIRS = NET["right"]
TRAPPED = configuration("left", children=(child("left", start_action=StartAction.TRAP),))


@pytest.mark.parametrize("kind", [Kind.TUN, Kind.UNREACHABLE])
def test_child_whose_route_cannot_be_added_is_ended_on_both_sides(kind: Kind) -> None:
    async def scenario(left: Side, right: Side) -> None:
        left.network.refuses = {kind}
        with pytest.raises(CommandError, match=f"no route for {THEIRS}: the kernel says no") as refused:
            await left.do("up", name="lan")
        assert refused.value.code is ExitCode.PERMISSION
        await left.until(lambda: not left.spis and not right.spis)

    play(scenario)


def test_child_of_the_peer_whose_route_cannot_be_added_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(left: Side, right: Side) -> None:
        right.network.refuses = {Kind.TUN}
        with pytest.raises(CommandError, match="the peer deleted it at once") as refused:
            await left.do("up", name="lan")
        assert refused.value.code is ExitCode.PEER_REFUSED
        await left.until(lambda: not left.spis and not right.spis)
        assert caplog.text.count("home/lan is ended") == 1

    play(scenario)


def test_child_comes_up_once_its_route_can_be_added() -> None:
    async def scenario(left: Side, _: Side) -> None:
        left.network.refuses = {Kind.TUN}
        with pytest.raises(CommandError):
            await left.do("up", name="lan")
        await left.until(lambda: not left.spis)
        left.network.refuses = set()
        await left.do("up", name="lan")
        assert left.network.kinds(THEIRS) == {Kind.TUN, Kind.UNREACHABLE}

    play(scenario)


def test_nobody_is_asked_for_a_child_that_is_known_to_be_unprotected(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(left: Side, _: Side) -> None:
        left.network.refuses = {Kind.UNREACHABLE}
        monkeypatch.setattr(commands, "load", lambda _: TRAPPED)
        await left.do("reload")
        (shown,) = (await left.do("status"))["connections"][0]["children"]
        assert shown["held"] is False
        with pytest.raises(CommandError, match="stays down"):
            await left.do("up", name="lan")
        assert left.plane.sent == []
        left.network.refuses = set()
        await left.do("up", name="lan")
        assert left.gateway.protection.held() == {("home", "lan")}

    play(scenario)


def test_child_that_is_to_be_up_is_tried_again_later() -> None:
    async def scenario(left: Side, right: Side) -> None:
        left.network.refuses = {Kind.TUN}
        await left.until(lambda: left.gateway.outbox.refused)
        await left.until(lambda: not left.spis and not right.spis)
        assert left.gateway.upkeep.trying() == {("home", "lan")}
        assert left.gateway.protection.held() == {("home", "lan")}

    play(scenario, configuration("left", children=(child("left", start_action=StartAction.START),)))


def test_child_of_a_family_that_is_off_stays_down() -> None:
    theirs, ours = (tuple(map(parse_selector, (each,))) for each in ("2001:db8::/32", "2001:db8:1::/48"))

    async def scenario(left: Side, _: Side) -> None:
        left.network.families = frozenset((4,))
        with pytest.raises(CommandError, match="IPv6 is off on this host, and the child has nothing else") as refused:
            await left.do("up", name="lan")
        assert refused.value.code is ExitCode.PERMISSION
        assert left.plane.sent == []

    play(scenario, configuration("left", children=(child("left", local_ts=ours, remote_ts=theirs),)))


def test_child_goes_without_a_family_that_is_off_when_it_has_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    both = tuple(map(parse_selector, (THEIRS, "2001:db8::/32")))
    ours = tuple(map(parse_selector, (NET["left"], "2001:db8:1::/48")))

    async def scenario(left: Side, _: Side) -> None:
        apply = left.network.apply

        async def without_v6(add: frozenset[Route], remove: frozenset[Route]) -> dict[Route, str]:
            off = {route: VersionOff("off") for route in add if route.prefix.version == 6}
            return await apply(add - off.keys(), remove) | off

        monkeypatch.setattr(left.network, "apply", without_v6)
        left.network.families = frozenset((4,))
        await left.do("up", name="lan")
        assert left.spis
        assert left.gateway.protection.held() == {("home", "lan")}

    play(scenario, configuration("left", children=(child("left", local_ts=ours, remote_ts=both),)))


def test_network_that_cannot_be_asked_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(left: Side, _: Side) -> None:
        async def fail(*_: object) -> dict[object, str]:
            raise OSError("no memory")

        monkeypatch.setattr(left.network, "apply", fail)
        with pytest.raises(CommandError, match=f"no route for {THEIRS}: no memory"):
            await left.do("up", name="lan")
        monkeypatch.undo()
        await left.until(lambda: not left.spis)
        await left.gateway.protection.settled()

    play(scenario)


def test_child_with_an_interface_of_its_own_needs_no_route() -> None:
    async def scenario(left: Side, _: Side) -> None:
        left.network.refuses, left.network.families = set(Kind), frozenset()
        await left.do("up", name="lan")
        assert left.spis

    play(scenario, configuration("left", children=(child("left", interface="tun-a"),)))
