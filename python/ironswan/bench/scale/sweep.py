"""The sweeps: one thing changes, the others stay; each point on new data planes."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from ironswan.bench.scale.planes import UDP, planes
from ironswan.bench.tunnel.rounds import Tell
from ironswan.lab.processes import LabError, Task

# Fewer take less memory than the page it is counted in.
FEWEST_TO_WEIGH = 1000


@dataclass(frozen=True, slots=True)
class Setting:
    """One point: SAs, octets of UDP payload, packets in a super-packet, packets in a row for one SA, workers, ESP."""

    sas: int = 1
    size: int = 64
    segments: int = 1
    in_a_row: int = 32
    workers: int = 1
    esp: str = UDP


@dataclass(slots=True)
class Point:
    """What a setting gave; without rates when it `failed`, and why. CPU time of threads is in microseconds a packet."""

    setting: Setting
    kpps: list[float] = field(default_factory=list)
    sending: list[float] = field(default_factory=list)
    receiving: list[float] = field(default_factory=list)
    install_seconds: float | None = None
    octets_each: float | None = None
    failed: str | None = None

    @property
    def median(self) -> float | None:
        """The median packet rate in thousand a second."""
        return statistics.median(self.kpps) if self.kpps else None


@dataclass(frozen=True, slots=True)
class Axis:
    """What changes in a sweep: the field of the setting, and how tables and charts call it."""

    name: str
    title: str


AXES: Mapping[str, Axis] = {
    axis.name: axis
    for axis in (
        Axis("sas", "SAs in use, one after the other"),
        Axis("size", "octets of UDP payload"),
        Axis("segments", "packets in a super-packet"),
        Axis("workers", "workers"),
    )
}


def defaults(axis: str) -> tuple[int, ...]:
    """The values a sweep has when none are asked for."""
    if axis == "workers":
        return tuple(sorted({1, 2, os.cpu_count() or 1}))
    values = {"sas": (1, 100, 1000, 10_000, 100_000), "size": (64, 128, 256, 512, 1024, 1372)}
    return values.get(axis, (1, 2, 4, 8, 16, 32, 64))


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often each point is measured, and how long SAs may take to install, in seconds."""

    seconds: float = 2.0
    rounds: int = 3
    patience: float = 60.0
    offload: str = "whole"


Measure = Callable[[Setting, Effort], Point]


def measure(setting: Setting, effort: Effort) -> Point:
    """Measure one point in a process of its own, whose memory nobody used before; what goes wrong is in it."""
    task = Task(lambda: asdict(_measure_here(setting, effort)))
    try:
        found = task.result(effort.patience + effort.rounds * (effort.seconds + 1) + 60)
    except LabError as error:
        return Point(setting, failed=str(error))
    finally:
        task.close()
    return Point(**{**found, "setting": setting})


def _measure_here(setting: Setting, effort: Effort) -> Point:
    point = Point(setting)
    try:
        with planes(setting.workers, effort.offload, setting.esp) as pair:
            installed = pair.install(setting.sas, effort.patience)
            point.install_seconds = installed.seconds
            point.octets_each = installed.octets_each if setting.sas >= FEWEST_TO_WEIGH else None
            for _ in range(effort.rounds):
                rate = pair.rate(
                    effort.seconds, size=setting.size, addresses=setting.sas,
                    in_a_row=setting.in_a_row, segments=setting.segments,
                )  # fmt: skip
                point.kpps.append(rate.packets / 1000)
                point.sending.append(rate.sending)
                point.receiving.append(rate.receiving)
    except (LabError, OSError, ValueError) as error:
        point.failed = str(error)
    return point


def sweep(
    wanted: Mapping[str, Sequence[int]],
    base: Setting,
    effort: Effort,
    tell: Tell,
    one: Measure = measure,
    forms: Sequence[str] = (UDP,),
) -> dict[str, list[Point]]:
    """Every axis with its values, in order, each value with every form of ESP."""
    found: dict[str, list[Point]] = {}
    for name, values in wanted.items():
        found[name] = []
        for value, form in itertools.product(values, forms):
            tell(f"{AXES[name].title}: {value}, {form}")
            point = one(replace(base, esp=form, **{name: value}), effort)
            if point.failed:
                tell(point.failed)
            found[name].append(point)
    return found
