"""What sealing and opening batches of ESP packets costs through `ironswan.esp`, beside other libraries in the same run.

A packet's size is that of the whole inner packet, and Gb/s are of inner packets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata

from ironswan.bench import esp_works, traffic
from ironswan.bench.alternatives import NoSuchSuite
from ironswan.bench.timing import Clock, Effort, Spread, timed

DEFAULT_SUITES = (
    "aes128gcm16", "aes256gcm16", "chacha20poly1305", "aes128-sha256", "aes256-sha512",
    "aes128gcm8", "aes128ccm16", "null-sha256", "aes128gmac",
)  # fmt: skip
DEFAULT_SIZES: tuple[int | str, ...] = (64, 1420, traffic.IMIX)
DEFAULT_BATCHES = (64,)
DIRECTIONS = ("encap", "decap")
OURS = "ironswan"
ALTERNATIVES = tuple(esp_works.ALTERNATIVES)
# Two turns of the mix.
_LOOP_PACKETS = 24


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: every suite with every size, every batch length and every number of threads."""

    suites: Sequence[str] = DEFAULT_SUITES
    sizes: Sequence[int | str] = DEFAULT_SIZES
    batches: Sequence[int] = DEFAULT_BATCHES
    threads: Sequence[int] = (1,)
    alternatives: Sequence[str] = ALTERNATIVES
    effort: Effort = field(default_factory=Effort)


@dataclass(frozen=True, slots=True)
class Figure:
    """One result. `batch` counts packets a call, `octets` those of an inner packet on average."""

    implementation: str
    suite: str
    size: int | str
    batch: int
    threads: int
    direction: str
    octets: float
    ns: Spread

    @property
    def packets_per_second(self) -> float:
        """Of all threads together."""
        return 1e9 / self.ns.median

    @property
    def gbps(self) -> float:
        """10^9 bits of inner packets a second, all threads together."""
        return self.octets * 8 / self.ns.median


@dataclass(slots=True)
class Findings:
    """The results, and what has none: libraries that are not installed, and the suites that others lack."""

    figures: list[Figure] = field(default_factory=list)
    not_installed: list[str] = field(default_factory=list)
    lacking: dict[str, list[str]] = field(default_factory=dict)


def check_suites(keywords: Sequence[str]) -> None:
    """Raises ValueError that says which suites there are if one is unknown."""
    known = esp_works.suites()
    for keyword in keywords:
        if keyword not in known:
            raise ValueError(f"no suite {keyword!r}; there are {', '.join(known)}")


def all_suites() -> list[str]:
    """Every suite of ESP that can be constructed."""
    return list(esp_works.suites())


def measure(plan: Plan, say: Callable[[str], None], clock: Clock = time.perf_counter_ns) -> Findings:
    """Measure it all; `say` hears what comes next.

    Raises ValueError for a suite that does not exist, MeasurementError if packets did not come out as they should.
    """
    check_suites(plan.suites)
    found = Findings(not_installed=[library for library in plan.alternatives if not _is_installed(library)])
    others = [library for library in plan.alternatives if library not in found.not_installed]
    for suite, size in ((suite, size) for suite in plan.suites for size in plan.sizes):
        for batch, threads in ((batch, threads) for batch in plan.batches for threads in plan.threads):
            say(f"{suite}, size {size}, batch {batch}, {threads} thread{'s' * (threads != 1)}")
            found.figures += _ours(suite, size, batch, threads, plan.effort, clock)
        for library in others:
            say(f"{suite}, size {size}, {library}")
            try:
                found.figures += _theirs(library, suite, size, plan.effort, clock)
            except NoSuchSuite:
                found.lacking[library] = list(dict.fromkeys([*found.lacking.get(library, []), suite]))
    return found


def _is_installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True


def _ours(suite: str, size: int | str, batch: int, threads: int, effort: Effort, clock: Clock) -> Iterator[Figure]:
    batches = traffic.batches(size, batch)
    for direction, make in zip(DIRECTIONS, (esp_works.encap_work, esp_works.decap_work), strict=True):
        spread = timed([make(suite, batches) for _ in range(threads)], effort, clock)
        yield Figure(OURS, suite, size, batch, threads, direction, traffic.mean(batches), spread)


def _theirs(library: str, suite: str, size: int | str, effort: Effort, clock: Clock) -> Iterator[Figure]:
    """Both directions of an alternative. Raises NoSuchSuite if it lacks the suite."""
    (packets,) = batches = traffic.batches(size, _LOOP_PACKETS)
    for direction, work in zip(DIRECTIONS, esp_works.alternative_works(library, suite, packets), strict=True):
        yield Figure(library, suite, size, 1, 1, direction, traffic.mean(batches), timed([work], effort, clock))
