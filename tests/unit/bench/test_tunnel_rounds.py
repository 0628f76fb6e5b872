"""The order of the tunnel benchmark and its figures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ironswan.bench.tunnel.measures import Sample
from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Tunnel
from ironswan.bench.tunnel.rounds import Figure, figure, play


def _never(ground: Ground, programs: Programs) -> Tunnel:
    raise AssertionError("a fake peer has no tunnel")


PEERS = [Peer(name, name, "none", _never) for name in ("slow", "fast")]


def test_every_peer_has_its_turn_in_each_round_before_the_next_begins() -> None:
    turns: list[tuple[str, str]] = []

    def turn(peer: Peer, offload: str) -> Sample:
        turns.append((offload, peer.name))
        return Sample()

    play(PEERS, ("whole", "frames"), 2, turn, busy=lambda: 0.0)
    one_round = [("whole", "slow"), ("whole", "fast"), ("frames", "slow"), ("frames", "fast")]
    assert turns == one_round * 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], Figure(3, 3, 3, 1)), ([9.0, 1.0, 2.0], Figure(2, 1, 9, 3)), ([1.0, 2.0], Figure(1.5, 1, 2, 2))],
)
def test_a_figure_is_the_median_with_the_smallest_and_the_largest(values: list[float], expected: Figure) -> None:
    assert figure(values) == expected


def test_a_round_that_failed_is_told_and_the_others_make_the_figure() -> None:
    samples: Iterator[Sample] = iter([Sample({"x": 1.0}), Sample(failed=["no tunnel"]), Sample({"x": 3.0, "y": 5.0})])
    told: list[str] = []
    [result] = play(PEERS[:1], ("whole",), 3, lambda *_: next(samples), busy=lambda: 0.0, tell=told.append)
    assert result.figures == {"x": Figure(2, 1, 3, 2), "y": Figure(5, 5, 5, 1)}
    assert result.failed == ["no tunnel"]
    assert "slow: no tunnel" in told


def test_rounds_that_began_on_a_busy_machine_are_counted() -> None:
    busy = iter([0.02, 0.9, 0.5])
    [result] = play(PEERS[:1], ("whole",), 3, lambda *_: Sample(), busy=lambda: next(busy))
    assert result.noisy_rounds == 2
