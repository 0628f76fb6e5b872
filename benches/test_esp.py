"""ESP through `ironswan.esp`, beside `cryptography` in a loop and scapy. A round is always the same number of packets.

Decap opens packets that were sealed for it outside the timed part, none of them twice.
"""

from __future__ import annotations

from itertools import cycle, islice

import pytest

from ironswan.bench import esp_works, traffic
from ironswan.bench.esp import ALTERNATIVES, DEFAULT_SUITES

ROUND_PACKETS = 768
USUAL_SUITE, USUAL_SIZE, USUAL_BATCH = "aes128gcm16", 1420, 64
SIZES = [64, 256, 576, 1420, 8900, traffic.IMIX]
BATCHES = [1, 4, 16, 64, 256]
ALL_CASES = [(suite, size, batch) for suite in DEFAULT_SUITES for size in SIZES for batch in BATCHES]
# One of the three is varied at a time.
CASES = list(
    dict.fromkeys(
        [(suite, USUAL_SIZE, USUAL_BATCH) for suite in DEFAULT_SUITES]
        + [(USUAL_SUITE, size, USUAL_BATCH) for size in SIZES]
        + [(USUAL_SUITE, USUAL_SIZE, batch) for batch in BATCHES]
    )
)
MAKERS = {"encap": esp_works.encap_work, "decap": esp_works.decap_work}


def batches(size, batch):
    return list(islice(cycle(traffic.batches(size, batch)), ROUND_PACKETS // batch))


def measure(benchmark, work, size, rounds):
    calls = ROUND_PACKETS // work.packets

    def run(inputs):
        result = None
        for each in inputs:
            result = work.run(each)
        return result

    work.check(benchmark.pedantic(run, setup=lambda: ((work.prepare()[:calls],), {}), rounds=rounds, warmup_rounds=1))
    if benchmark.stats:
        ns = benchmark.stats.stats.median * 1e9 / ROUND_PACKETS
        octets = traffic.mean(traffic.batches(size, work.packets))
        benchmark.extra_info |= {"ns_per_packet": ns, "gbps": octets * 8 / ns, "imix": traffic.IMIX_DEFINITION}


@pytest.mark.parametrize("direction", list(MAKERS))
def test_ironswan(benchmark, direction, case):
    suite, size, batch = case
    benchmark.group = f"{direction} of {ROUND_PACKETS} packets, size {size}"
    measure(benchmark, MAKERS[direction](suite, batches(size, batch)), size, rounds=50)


@pytest.mark.parametrize("size", [64, USUAL_SIZE])
@pytest.mark.parametrize("library", ALTERNATIVES)
@pytest.mark.parametrize("direction", list(MAKERS))
def test_alternative(benchmark, direction, library, size):
    pytest.importorskip(library)
    benchmark.group = f"{direction} of {ROUND_PACKETS} packets, size {size}"
    (packets,) = batches(size, ROUND_PACKETS)
    work = esp_works.alternative_works(library, USUAL_SUITE, packets)[list(MAKERS).index(direction)]
    measure(benchmark, work, size, rounds=3 if library == "scapy" else 50)
