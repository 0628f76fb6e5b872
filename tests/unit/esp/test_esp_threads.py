"""SAs used by several threads at once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from esp_packets import inbound, ipv4, outbound, seal

from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Status, suites

ESP = [suite for suite in suites() if suite.protocol == "esp"]


# Made once: a thousand SAs carry them.
PACKETS = [ipv4(bytes([size % 256]) * size) for size in range(300)]


def carried(seed: int) -> list[bytes | int]:
    """One random SA and a few batches through it; the nonces that were used under its key, without the salt."""
    chance = random.Random(seed)
    suite = chance.choice(ESP)
    keymat = chance.randbytes(suite.keymat_len)
    mode = chance.choice(["tunnel", "transport"])
    esn = chance.random() < 0.5
    last = chance.randrange(1 << 40 if esn else 1 << 30)
    out = OutboundSa(seed + 1, suite.keyword, keymat, mode=mode, esn=esn, sequence_number=last)
    into = InboundSa(seed + 1, suite.keyword, keymat, mode=mode, esn=esn, sequence_number=last, replay_window=1024)
    nonces: list[bytes | int] = []
    for _ in range(3):
        packets = chance.choices(PACKETS, k=chance.randrange(1, 40))
        results = out.encap(PacketBatch(packets))
        sealed = results.packets.tolist()
        # Without an IV in the packet the sequence number is the nonce (RFC 8750 3), or there is no cipher.
        ivs = [packet[8 : 8 + suite.iv_len] for packet in sealed]
        nonces += ivs if suite.iv_len else results.sequence_numbers
        order = chance.sample(range(len(sealed)), len(sealed))
        opened = into.decap(PacketBatch([sealed[index] for index in order]))
        assert opened.packets.tolist() == [packets[index] for index in order]
    return nonces


def test_a_thousand_sas_in_eight_threads_carry_every_packet_and_use_no_nonce_twice() -> None:
    """E02, E19, E24, E26."""
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(carried, range(1000)))
    for nonces in done:
        assert len(nonces) == len(set(nonces))


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
