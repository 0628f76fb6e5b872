"""How long the gateway waits before it tries again: from 2 seconds to 300, each twice the last, and a little more."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat

import pytest
from gateway_pairs import ADDRESS, Side, child, configuration, play

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.ike.types import Endpoint
from ironswan.policy.connection import StartAction
from ironswan.policy.selectors import SelectorTemplate

# docs/architecture.md: "with pauses that grow from 2 to 300 seconds".
DOCUMENTED = [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
MOST_JITTER = 1.25
really = asyncio.sleep


class Pauses:
    """Stands in for asyncio.sleep: whoever would wait goes on at once, and what it would have waited is recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float] = []
        monkeypatch.setattr(asyncio, "sleep", self)

    async def __call__(self, seconds: float) -> None:
        if seconds > 0:
            self.seconds.append(seconds)
        await really(0)

    def are_documented(self) -> None:
        for seconds, least in zip(self.seconds, chain(DOCUMENTED, repeat(300)), strict=False):
            assert least <= seconds < MOST_JITTER * least


def unreachable(monkeypatch: pytest.MonkeyPatch, side: Side) -> None:
    """The peer's name does not resolve, so that every attempt fails at once."""

    async def endpoints(name: str) -> None:
        raise CommandError(ExitCode.FAILED, f"{name} is nowhere")

    monkeypatch.setattr(side.gateway, "endpoints", endpoints)


def test_failing_child_is_tried_again_after_pauses_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch)

    async def scenario(left: Side, _: Side) -> None:
        unreachable(monkeypatch, left)
        left.gateway.upkeep.want(("home", "lan"))
        await left.until(lambda: len(pauses.seconds) >= len(DOCUMENTED))
        pauses.are_documented()
        assert left.gateway.upkeep.trying() == {("home", "lan")}

    play(scenario)


def test_pauses_begin_anew_with_the_next_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch)

    async def scenario(left: Side, _: Side) -> None:
        unreachable(monkeypatch, left)
        left.gateway.upkeep.want(("home", "lan"))
        await left.until(lambda: len(pauses.seconds) >= 4)
        monkeypatch.undo()
        await left.until(lambda: not left.gateway.upkeep.trying())
        again = Pauses(monkeypatch)
        unreachable(monkeypatch, left)
        left.gateway.upkeep.want(("home", "lan"))
        await left.until(lambda: len(again.seconds) >= 4)
        again.are_documented()

    play(scenario)


def test_children_do_not_all_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jitter: that thirty draws of 256 are the same happens never."""
    pauses = Pauses(monkeypatch)

    async def scenario(left: Side, _: Side) -> None:
        unreachable(monkeypatch, left)
        left.gateway.upkeep.want(("home", "lan"))
        await left.until(lambda: len(pauses.seconds) >= 38)
        assert len(set(pauses.seconds[8:])) > 1

    play(scenario)


def test_trap_that_waits_for_an_address_is_tried_again_after_pauses_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch)
    dynamic = child("left", start_action=StartAction.TRAP, remote_ts=(SelectorTemplate(),))

    async def known(name: str) -> tuple[Endpoint, Endpoint]:
        return Endpoint.parse(ADDRESS["left"], 500), Endpoint.parse(ADDRESS["right"], 500)

    async def scenario(left: Side, _: Side) -> None:
        await left.until(lambda: len(pauses.seconds) >= len(DOCUMENTED))
        pauses.are_documented()
        assert left.gateway.policies.traps() == frozenset()
        monkeypatch.setattr(left.gateway, "endpoints", known)
        await left.until(left.gateway.policies.traps)

    play(scenario, configuration("left", children=(dynamic,), remote_addrs=("%any",)))
