"""Workers that ask for Child SAs of their own (RFC 9611): what the data plane is told, and when they may ask again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from gateway_pairs import Side, child, configuration, play

from ironswan.dataplane.port import Acquire, SaNotice
from ironswan.gateway import own_sas
from ironswan.ike import resources
from ironswan.ike.refusal import Refusal
from ironswan.ike.types import Because
from ironswan.policy.connection import Configuration, PerCpuSas
from ironswan.wire.numbers import NotifyType


def per_cpu(side: str, word: PerCpuSas = PerCpuSas.YES) -> Configuration:
    return configuration(side, children=(child(side, per_cpu_sas=word),))


def play_with_two_workers(scenario: Any, **changes: Configuration) -> None:
    sides = {side: per_cpu(side) for side in ("left", "right")} | changes
    play(scenario, sides["left"], sides["right"], workers=2)


def invited(side: Side) -> list[object]:
    """The workers invited so far."""
    return [arguments[1] for name, arguments in side.plane.calls if name == "invite"]


async def ask(side: Side, worker: int) -> None:
    """A worker has packets and no SA of its own."""
    [policy] = side.plane.policies
    side.plane.tell(Acquire(policy, "10.1.0.5", "10.2.0.5", 17, 4000, 53, worker))
    await asyncio.sleep(0)


def own(side: Side) -> dict[int, int]:
    [policy] = side.plane.policies.values()
    return policy.own


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait."""
    monkeypatch.setattr(own_sas, "AGAIN_AFTER", 0.0)
    monkeypatch.setattr(own_sas, "YIELD_FOR", 0.0)


def test_workers_of_the_initiator_are_invited_first_and_get_what_they_ask_for() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        assert (invited(left), invited(right)) == ([0, 1], [])
        for worker in (1, 0):
            await ask(left, worker)
            await left.until(lambda worker=worker: worker in own(left))
        await right.until(lambda: len(right.spis) == 3)
        assert {(spi >> 20) % 2 for spi in list(left.spis)[1:]} == {0, 1}
        [sa] = (await left.do("status"))["ike_sas"]
        assert [each["worker"] for each in sa["children"]] == [None, 1, 0]
        for spi in right.spis:
            right.plane.tell(SaNotice("first_packet", spi, "127.0.1.1", 4500))
        await right.until(lambda: own(right).keys() == {0, 1})

    play_with_two_workers(scenario)


def test_workers_of_the_responder_are_invited_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)

    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await right.until(lambda: invited(right) == [0, 1])
        await ask(right, 0)
        await right.until(lambda: own(right).keys() == {0})

    play_with_two_workers(scenario)


def test_a_worker_that_loses_its_sa_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9611 6."""
    at_once(monkeypatch)

    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await ask(left, 1)
        await left.until(lambda: own(left).keys() == {1})
        before = invited(left)
        [gone] = [entry.child.child_id for entry in right.gateway.children if entry.child.worker is not None]
        right.gateway.command(lambda now: right.gateway.manager.delete_child(gone, now))
        await left.until(lambda: invited(left) == [*before, 1])
        assert not own(left)
        assert None not in left.bound
        await ask(left, 1)
        await left.until(lambda: own(left).keys() == {1})

    play_with_two_workers(scenario)


@pytest.mark.parametrize(("notify", "again"), [(NotifyType.TEMPORARY_FAILURE, [1]), (NotifyType.TS_MAX_QUEUE, [])])
def test_a_refused_worker_may_ask_again_only_if_the_peer_is_busy(
    monkeypatch: pytest.MonkeyPatch, notify: NotifyType, again: list[int]
) -> None:
    at_once(monkeypatch)
    admit: Callable[..., Any] = resources.admit

    def refuse(*arguments: Any) -> Any:
        place = admit(*arguments)
        return place if place.worker is None else Refusal(notify, Because.RESOURCES, "not now")

    monkeypatch.setattr(resources, "admit", refuse)

    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await ask(left, 1)
        await right.until(lambda: right.gateway.rejects["resources"])
        for _ in range(100):
            await asyncio.sleep(0)
        assert invited(left) == [0, 1, *again]
        assert not own(left)

    play_with_two_workers(scenario)


def test_nobody_is_invited_when_the_peer_does_not_want_it() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        assert invited(left) == invited(right) == []

    play_with_two_workers(scenario, right=configuration("right"))


def test_only_encap_gives_workers_ports_of_their_own() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await ask(left, 0)
        await right.until(lambda: len(right.plane.outbound) == 2)
        await left.until(lambda: own(left))
        ports = [[sa.local[1] if sa.local else None for sa in side.plane.outbound.values()] for side in (left, right)]
        assert ports == [[4500, 0], [4500, 4500]]

    play_with_two_workers(scenario, left=per_cpu("left", PerCpuSas.ENCAP))


def test_down_takes_the_whole_group_down() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await ask(left, 0)
        await left.until(lambda: own(left))
        await left.do("down", name="lan")
        await right.until(lambda: not right.spis)
        assert (left.spis, left.bound) == (set(), [])

    play_with_two_workers(scenario)
