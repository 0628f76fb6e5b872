"""What the tunnel benchmark measures, without a tunnel."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import pytest

from ironswan.bench.tunnel import about, cpu, measures
from ironswan.bench.tunnel.generators import Volume, parse_iperf3
from ironswan.bench.tunnel.measures import BOTH, IMIX, MEASURES, RTT50, STREAMS, TCP, Probe, udp_key, udp_sizes
from ironswan.bench.tunnel.peer import Tunnel
from ironswan.lab.processes import LabError
from ironswan.lab.traffic import Pings

HOSTS: Any = type("Host", (), {"address": "10.0.0.1"})()


class Flow:
    """A generator that gives one Gbit/s a stream and fails when told to."""

    name = "fake"

    def __init__(self, failing: int = 0) -> None:
        self.failing = failing

    def start(self, *_: object, streams: int = 1, both_ways: bool = False) -> Any:
        if streams == self.failing:
            raise LabError("broken")
        rate = streams * (2 if both_ways else 1)
        closed = {"close": lambda _: None, "volume": lambda _: Volume(10**9, rate), "running": False}
        return type("Run", (), closed)()


@pytest.fixture(autouse=True)
def quiet_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def rate(left: object, right: object, seconds: float, sizes: Sequence[int]) -> float:
        return 1000.0 * len(sizes)

    monkeypatch.setattr(measures, "ping", lambda *_: Pings(3, 3, (0.0001, 0.0002, 0.0009)))
    monkeypatch.setattr(measures, "udp_rate", rate)


def probe(generator: Flow, *wanted: str) -> Probe:
    return Probe(Tunnel(HOSTS, HOSTS), generator, 1, wanted)


def test_only_what_is_wanted_is_measured() -> None:
    sample = probe(Flow(), TCP, BOTH, udp_key(256)).run()
    assert sample.values == {TCP: 1.0, BOTH: 2.0, "udp256_kpps": 1.0}


def test_what_fails_does_not_keep_the_rest_from_being_measured() -> None:
    sample = probe(Flow(failing=4), TCP, STREAMS, BOTH, RTT50).run()
    assert sample.failed == ["tcp4_gbps: broken"]
    assert sample.values.keys() == {TCP, BOTH, RTT50}


def test_every_measure_of_the_report_can_be_measured() -> None:
    gateways = Tunnel(HOSTS, HOSTS, (os.getpid(),))
    sample = Probe(gateways, Flow(), 1, tuple(key for key in MEASURES if key != measures.LOADED99)).run()
    assert sample.values.keys() == MEASURES.keys() - {measures.LOADED99}


def test_imix_is_seven_four_one_of_packets_with_their_headers() -> None:
    assert sorted(size + 28 for size in IMIX) == [64] * 7 + [576] * 4 + [1420]


@pytest.mark.parametrize(("key", "sizes"), [("udp64_kpps", (64,)), ("imix_kpps", IMIX), ("tcp1_gbps", None)])
def test_packet_rates_are_told_from_other_measures(key: str, sizes: tuple[int, ...] | None) -> None:
    assert udp_sizes(key) == sizes


def test_percentile_is_a_value_that_occurred() -> None:
    values = [float(value) for value in range(100)]
    assert [measures.percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [0, 50, 99, 99]
    assert measures.percentile([7.0], 0.99) == 7


def test_iperf3_tells_what_arrived_both_ways() -> None:
    end = {"sum_received": {"bytes": 1000, "bits_per_second": 1e9}}
    assert parse_iperf3(json.dumps({"end": end})) == Volume(1000, 1.0)
    end["sum_received_bidir_reverse"] = {"bytes": 500, "bits_per_second": 5e8}
    assert parse_iperf3(json.dumps({"end": end})) == Volume(1500, 1.5)


@pytest.mark.parametrize("text", ["", "{}", '{"error": "unable to connect", "end": {}}', '{"end": {}}'])
def test_iperf3_without_a_result_is_an_error(text: str) -> None:
    with pytest.raises(LabError, match="iperf3"):
        parse_iperf3(text)


def test_processor_time_is_read_from_the_kernels_tables() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    # user, nice, system, idle, iowait, irq, softirq, steal
    assert cpu.machine_seconds("cpu  100 10 50 9999 9999 3 2 77 0 0\ncpu0 1 1 1\n") == 165 / ticks
    awkward = "42 (a) b (c)) S " + " ".join(str(number) for number in range(4, 30))
    assert cpu.parse_process(awkward) == (14 + 15) / ticks


def test_a_busy_machine_is_warned_of() -> None:
    assert about.warnings(0.2, 0.05, 2) == []
    assert len(about.warnings(3.0, 0.9, 2)) == 2
