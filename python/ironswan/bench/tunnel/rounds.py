"""The order of a run: every peer has its turn in each round, so that a slow minute of the machine meets them all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ironswan.bench.tunnel import cpu, link
from ironswan.bench.tunnel.generators import Generator
from ironswan.bench.tunnel.measures import Probe, Sample
from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Tunnel
from ironswan.control.protocol import CommandError
from ironswan.lab.processes import LabError, until
from ironswan.lab.traffic import ping

QUIET = 0.1
FAILURES = (LabError, CommandError, OSError, LookupError)


@dataclass(frozen=True, slots=True)
class Figure:
    """The median over the rounds, the smallest and the largest, and how many rounds there were."""

    median: float
    low: float
    high: float
    rounds: int


def figure(values: Sequence[float]) -> Figure:
    """The figure of at least one value."""
    return Figure(statistics.median(values), min(values), max(values), len(values))


@dataclass(slots=True)
class Result:
    """What one peer gave on one kind of link, over all rounds."""

    peer: str
    offload: str
    samples: list[Sample] = field(default_factory=list)
    noisy_rounds: int = 0

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures of everything that was measured at least once."""
        keys = dict.fromkeys(key for sample in self.samples for key in sample.values)
        return {key: figure([s.values[key] for s in self.samples if key in s.values]) for key in keys}

    @property
    def failed(self) -> list[str]:
        """What did not work, in words, each once."""
        return list(dict.fromkeys(reason for sample in self.samples for reason in sample.failed))


Turn = Callable[[Peer, str], Sample]
Tell = Callable[[str], None]


def play(
    peers: Iterable[Peer],
    offloads: Sequence[str],
    rounds: int,
    turn: Turn,
    *,
    busy: Callable[[], float] = cpu.busy_share,
    tell: Tell = lambda _: None,
) -> list[Result]:
    """Give every peer its `turn` on every kind of link in each round; `busy` is asked before each."""
    order = tuple(peers)
    results = {(peer.name, offload): Result(peer.name, offload) for offload in offloads for peer in order}
    for number in range(1, rounds + 1):
        for offload in offloads:
            for peer in order:
                result = results[peer.name, offload]
                result.noisy_rounds += busy() > QUIET
                tell(f"round {number} of {rounds}, {offload}: {peer.name}")
                result.samples.append(sample := turn(peer, offload))
                for reason in sample.failed:
                    tell(f"{peer.name}: {reason}")
    return list(results.values())


@dataclass(frozen=True, slots=True)
class Stage:
    """Raises a peer's tunnel on a new link, measures it and takes everything down again."""

    programs: dict[str, Programs]
    generator: Generator
    seconds: int
    wanted: tuple[str, ...]
    mtu: int

    def turn(self, peer: Peer, offload: str) -> Sample:
        """One turn; a tunnel that does not come up is a failure of the sample."""
        try:
            with link.ground(offload, self.mtu) as ground:
                return self._measure(peer, ground)
        except FAILURES as error:
            return Sample(failed=[f"no tunnel: {error}"])

    def _measure(self, peer: Peer, ground: Ground) -> Sample:
        try:
            tunnel = peer.raise_tunnel(ground, self.programs[peer.name])
            until(lambda: _answers(tunnel), 15, "a ping through the tunnel is answered")
        except FAILURES as error:
            raise LabError(f"{error}{_log_ends(ground)}") from error
        return Probe(tunnel, self.generator, self.seconds, self.wanted).run()


def _answers(tunnel: Tunnel) -> bool:
    return ping(tunnel.left, tunnel.right.address, 2, patience=0.3).received == 2


def _log_ends(ground: Ground) -> str:
    texts = [file.read_text(encoding="utf-8", errors="replace").strip() for file in sorted(ground.folder.glob("*.log"))]
    return "".join(f" | {' '.join(text[-200:].split())}" for text in texts if text)
