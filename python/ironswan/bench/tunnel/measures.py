"""What is measured through a tunnel that stands, in this order, and the names of the results."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ironswan.bench.tunnel import cpu
from ironswan.bench.tunnel.generators import Generator, Volume
from ironswan.bench.tunnel.peer import Tunnel
from ironswan.lab.processes import LabError, until
from ironswan.lab.traffic import Host, ping, udp_rate

IDLE_PINGS = 500
APART = 0.002
PAUSE = 0.01
# A stream is at full speed so many seconds after its start.
SPEEDING_UP = 0.5
SETTLED = 0.05
_IP_UDP = 28
# Packets of 64, 576 and 1420 octets in the ratio 7:4:1, mixed evenly; UDP payloads, without the headers.
IMIX = tuple(size - _IP_UDP for size in (64, 576, 64, 576, 64, 64, 1420, 64, 576, 64, 576, 64))


@dataclass(frozen=True, slots=True)
class Measure:
    """One result: its key in the JSON document, how tables name it, and whether more of it is better."""

    key: str
    title: str
    unit: str
    more_is_better: bool


TCP, BACK, STREAMS, BOTH = "tcp1_gbps", "tcp1_back_gbps", "tcp4_gbps", "tcp_both_gbps"
UDP64, UDP512, MIXED = "udp64_kpps", "udp512_kpps", "imix_kpps"
RTT50, RTT99, RTT_APART, LOADED99 = "rtt_p50_us", "rtt_p99_us", "rtt_apart_p50_us", "loaded_p99_ms"
CPU_MACHINE, CPU_GATEWAYS = "cpu_machine_s_per_gb", "cpu_gateways_s_per_gb"

MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure(TCP, "TCP x1", "Gb/s", True),
        Measure(BACK, "back", "Gb/s", True),
        Measure(STREAMS, "x4", "Gb/s", True),
        Measure(BOTH, "both ways", "Gb/s", True),
        Measure(UDP64, "UDP 64 B", "kpps", True),
        Measure(UDP512, "512 B", "kpps", True),
        Measure(MIXED, "IMIX", "kpps", True),
        Measure(RTT50, "RTT p50", "µs", False),
        Measure(RTT99, "RTT p99", "µs", False),
        Measure(RTT_APART, "RTT p50, 2 ms apart", "µs", False),
        Measure(LOADED99, "loaded p99", "ms", False),
        Measure(CPU_MACHINE, "CPU, machine", "s/GB", False),
        Measure(CPU_GATEWAYS, "CPU, gateways", "s/GB", False),
    )
}
QUICK = (TCP, BACK, UDP64, RTT50)


def udp_key(size: int) -> str:
    """The key of the packet rate with UDP payloads of `size` octets."""
    return f"udp{size}_kpps"


def measure_of(key: str) -> Measure:
    """The measure with this key; packet rates exist for every size."""
    return MEASURES[key] if key in MEASURES else Measure(key, f"{single_size(key)} B", "kpps", True)


def in_order(keys: Iterable[str]) -> list[str]:
    """As the report has them: the fixed measures first, then packet rates by size."""
    fixed = list(MEASURES)
    return sorted(
        keys, key=lambda key: (fixed.index(key), 0) if key in MEASURES else (len(fixed), single_size(key) or 0)
    )


@dataclass(slots=True)
class Sample:
    """What one turn of one peer gave: values by key, and in words what did not work."""

    values: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Probe:
    """Measures one tunnel: the keys that are `wanted`, each for a number of seconds."""

    tunnel: Tunnel
    generator: Generator
    seconds: int
    wanted: tuple[str, ...]

    def run(self) -> Sample:
        """Everything wanted, one after the other; what fails does not keep the rest from being measured."""
        sample = Sample()
        for keys, step in self._steps():
            if not set(keys) & set(self.wanted):
                continue
            try:
                found = step()
            except (LabError, OSError) as error:
                sample.failed.append(f"{keys[0]}: {error}")
                continue
            sample.values |= {key: value for key, value in found.items() if key in self.wanted}
        return sample

    def _steps(self) -> Iterator[tuple[tuple[str, ...], Callable[[], dict[str, float]]]]:
        left, right = self.tunnel.left, self.tunnel.right
        yield (RTT50, RTT99), self._idle
        yield (RTT_APART,), self._apart
        yield (TCP, CPU_MACHINE, CPU_GATEWAYS), self._tcp_with_cpu
        yield (BACK,), lambda: {BACK: self._tcp(right, left)}
        yield (STREAMS,), lambda: {STREAMS: self._tcp(left, right, streams=4)}
        yield (BOTH,), lambda: {BOTH: self._tcp(left, right, both_ways=True)}
        yield (LOADED99,), self._loaded
        for key in self.wanted:
            if sizes := udp_sizes(key):
                yield (key,), lambda key=key, sizes=sizes: {key: self._udp(sizes)}  # type: ignore[misc]

    def _tcp(self, source: Host, destination: Host, *, streams: int = 1, both_ways: bool = False) -> float:
        return self._run(source, destination, streams=streams, both_ways=both_ways).gbps

    def _run(self, source: Host, destination: Host, *, streams: int = 1, both_ways: bool = False) -> Volume:
        start = self.generator.start
        with contextlib.closing(start(source, destination, self.seconds, streams=streams, both_ways=both_ways)) as run:
            return run.volume()

    def _tcp_with_cpu(self) -> dict[str, float]:
        machine, gateways = cpu.machine_seconds(), cpu.process_seconds(self.tunnel.gateways)
        volume = self._run(self.tunnel.left, self.tunnel.right)
        found = {TCP: volume.gbps}
        if volume.octets:
            found[CPU_MACHINE] = (cpu.machine_seconds() - machine) / (volume.octets / 1e9)
        if volume.octets and self.tunnel.gateways:
            spent = cpu.process_seconds(self.tunnel.gateways) - gateways
            found[CPU_GATEWAYS] = spent / (volume.octets / 1e9)
        return found

    def _idle(self) -> dict[str, float]:
        trips = ping(self.tunnel.left, self.tunnel.right.address, IDLE_PINGS).round_trips
        if not trips:
            raise LabError("no ping was answered")
        return {RTT50: percentile(trips, 0.5) * 1e6, RTT99: percentile(trips, 0.99) * 1e6}

    def _apart(self) -> dict[str, float]:
        trips: list[float] = []
        for _ in range(IDLE_PINGS):
            time.sleep(APART)
            trips += ping(self.tunnel.left, self.tunnel.right.address, 1).round_trips
        if not trips:
            raise LabError("no ping was answered")
        return {RTT_APART: percentile(trips, 0.5) * 1e6}

    def _loaded(self) -> dict[str, float]:
        trips: list[float] = []
        with contextlib.closing(self.generator.start(self.tunnel.left, self.tunnel.right, self.seconds + 1)) as run:
            time.sleep(SPEEDING_UP)
            while run.running:
                trips += ping(self.tunnel.left, self.tunnel.right.address, 1).round_trips
                time.sleep(PAUSE)
            run.volume()
        if not trips:
            raise LabError("no ping was answered under load")
        return {LOADED99: percentile(trips, 0.99) * 1e3}

    def _udp(self, sizes: tuple[int, ...]) -> float:
        rate = udp_rate(self.tunnel.left, self.tunnel.right, self.seconds, sizes) / 1000
        self._settle()
        if not rate:
            raise LabError("no packet arrived")
        return rate

    def _settle(self) -> None:
        """Wait until what a flood left in the queues of a peer has drained."""

        def is_calm() -> bool:
            trips = ping(self.tunnel.left, self.tunnel.right.address, 1).round_trips
            return bool(trips) and trips[0] < SETTLED

        with contextlib.suppress(LabError):
            until(is_calm, 10, "the tunnel is calm again")


def single_size(key: str) -> int | None:
    """The payload of a packet rate with packets of one size; None when the key is no such rate."""
    size = key.removeprefix("udp").removesuffix("_kpps")
    return int(size) if size.isdigit() and key == udp_key(int(size)) else None


def udp_sizes(key: str) -> tuple[int, ...] | None:
    """The payload sizes sent in turn for a packet rate; None when the key is no packet rate."""
    size = single_size(key)
    return IMIX if key == MIXED else None if size is None else (size,)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
