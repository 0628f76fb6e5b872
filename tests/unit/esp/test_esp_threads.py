"""SAs used by several threads at once."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from esp_packets import KEYMAT, inbound, ipv4, outbound, seal

from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Status, suites

ESP = [suite for suite in suites() if suite.protocol == "esp"]


def carried(seed: int) -> tuple[bytes, list[bytes]]:
    """One random SA, a few batches through it; the key and the IVs that were used."""
    chance = random.Random(seed)
    suite = chance.choice(ESP)
    keymat = chance.randbytes(suite.keymat_len)
    mode = chance.choice(["tunnel", "transport"])
    esn = chance.random() < 0.5
    last = chance.randrange(1 << 40 if esn else 1 << 30)
    out = OutboundSa(seed + 1, suite.keyword, keymat, mode=mode, esn=esn, sequence_number=last)
    into = InboundSa(seed + 1, suite.keyword, keymat, mode=mode, esn=esn, sequence_number=last, replay_window=1024)
    ivs = []
    for _ in range(3):
        sizes = [chance.randrange(300) for _ in range(chance.randrange(1, 40))]
        packets = [ipv4(chance.randbytes(size)) for size in sizes[:3]] * 2
        sealed = out.encap(PacketBatch(packets)).packets.tolist()
        ivs += [packet[4 : 8 + suite.iv_len] for packet in sealed]
        opened = into.decap(PacketBatch(chance.sample(sealed, len(sealed))))
        assert opened.ok
        assert Counter(opened.packets.tolist()) == Counter(packets)
    return keymat, ivs


def test_a_thousand_sas_in_eight_threads_carry_every_packet_and_use_no_nonce_twice() -> None:
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(carried, range(1000)))
    for _, ivs in done:
        assert len(ivs) == len(set(ivs))


def test_threads_that_share_an_sa_never_take_a_number_twice() -> None:
    """E02."""
    sa = outbound()

    def some(_: int) -> list[int]:
        return sa.encap(PacketBatch([ipv4()] * 37)).sequence_numbers

    with ThreadPoolExecutor(8) as threads:
        numbers = [number for batch in threads.map(some, range(200)) for number in batch]
    assert sorted(numbers) == list(range(1, 200 * 37 + 1))


def test_of_threads_with_the_same_packets_one_has_each() -> None:
    """E04: marked after the ICV, and checked again then."""
    for suite in ("aes128gcm16", "aes128-sha256"):
        batch = PacketBatch(seal(outbound(suite), *[ipv4()] * 3000))
        sa = inbound(suite, replay_window=4096)
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _, sa=sa, batch=batch: sa.decap(batch).status_codes, range(8)))
        assert sum(codes.count(Status.OK) for codes in results) == 3000
        assert all(sum(codes[index] == Status.OK for codes in results) == 1 for index in range(3000))
        assert sa.counters["packets"] == 3000
        assert KEYMAT[suite]
