"""What stands behind a payload: padding, the next header, TFC padding, and packets that are nothing else."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from esp_packets import GCM, KEYMAT, OUTER, OUTER6, SPI, inbound, ipv4, ipv6, outbound, receive, seal, status
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

from ironswan.esp import PacketBatch, Status, suites

ESP = [suite for suite in suites() if suite.protocol == "esp"]
NULL = "null-sha256"


def by_hand(number: int, body: bytes) -> bytes:
    """An authentic packet of NULL with any payload and trailer, by an HMAC from outside."""
    covered = SPI.to_bytes(4) + number.to_bytes(4) + body
    return covered + hmac.digest(KEYMAT[NULL], covered, hashlib.sha256)[:16]


def padded(payload: bytes, pad_len: int, next_header: int = 6) -> bytes:
    return payload + bytes(range(1, pad_len + 1)) + bytes([pad_len, next_header])


@pytest.mark.parametrize("pad_len", [0, 1, 2, 3, 4, 100, 254, 255])
def test_any_padding_up_to_255_is_taken_off(pad_len: int) -> None:
    """E11: senders may hide lengths with it."""
    payload = bytes((-pad_len - 2) % 4 + 40)
    (opened,) = receive(inbound(NULL, mode="transport"), [by_hand(1, padded(payload, pad_len))]).packets.tolist()
    assert opened == payload


@pytest.mark.parametrize("pad_len", [1, 2, 3, 254, 255])
def test_padding_that_is_not_counted_up_is_refused(pad_len: int) -> None:
    """E11: the receiver inspects it; RFC 4303 2.4."""
    good = padded(bytes((-pad_len - 2) % 4 + 40), pad_len)
    for at in {-3, -2 - pad_len}:
        bad = bytearray(good)
        bad[at] ^= 1
        sa = inbound(NULL, mode="transport")
        assert status(sa, by_hand(1, bytes(bad))) is Status.BAD_PADDING
        assert sa.sequence_number == 1, "it is authentic, so it moves the window"


@pytest.mark.parametrize(("body", "expected"), [
    (b"\x01\x02\x02\x06", Status.OK),
    (b"\x01\x02\x03\x06", Status.BAD_PADDING),
    (b"\x01\x02\xff\x06", Status.BAD_PADDING),
    (b"\x00\x00\x03\x3b", Status.DUMMY),
])  # fmt: skip
def test_a_pad_length_may_reach_to_the_payload_and_no_further(body: bytes, expected: Status) -> None:
    """E12: an audited event, counted by itself. Of a dummy only the next header counts (RFC 4303 2.6)."""
    sa = inbound(NULL, mode="transport")
    assert status(sa, by_hand(1, body)) is expected
    assert sa.counters["bad_padding"] == (expected is Status.BAD_PADDING)


@pytest.mark.parametrize("cut", [0, 1, 4, 7, 8, 9, 23, 24, 25, 26])
def test_a_packet_without_room_for_a_trailer_is_malformed(cut: int) -> None:
    """E17: nothing is read behind its end."""
    assert status(inbound(NULL), by_hand(1, bytes(4))[:cut]) is Status.MALFORMED


@pytest.mark.parametrize("suite", ESP, ids=lambda suite: suite.keyword)
def test_every_payload_length_is_aligned_and_comes_back(suite: object) -> None:
    """E11, E25: to the cipher's block, and to four octets with stream ciphers."""
    keyword, info = suite.keyword, suite  # type: ignore[attr-defined]
    payloads = [bytes([size]) * size for size in range(66)]
    sealed = seal(outbound(keyword, mode="transport"), *payloads)
    assert info.block % 4 == 0  # type: ignore[attr-defined]
    for packet in sealed:
        assert (len(packet) - 8 - info.iv_len - info.icv_len) % info.block == 0  # type: ignore[attr-defined]
    assert receive(inbound(keyword, mode="transport"), sealed).packets.tolist() == payloads


@pytest.mark.parametrize("suite", [GCM, "aes128-sha256", NULL, "aes128gmac"])
@pytest.mark.parametrize("inner", [ipv4(), ipv6(), ipv4(bytes(900))], ids=["v4", "v6", "long"])
def test_tfc_padding_may_be_anything_and_any_length(suite: str, inner: bytes) -> None:
    """E14: the inner header says where the packet ends, whatever a peer puts behind."""
    sender = outbound(suite, mode="transport")
    number = 4 if inner[0] >> 4 == 4 else 41
    behind = [b"", b"\xff", inner, bytes(range(256)) * 3]
    sealed = [seal(sender, inner + padding, next_header=number)[0] for padding in behind]
    sa = inbound(suite)
    assert receive(sa, sealed).packets.tolist() == [inner] * len(behind)
    assert sa.counters["octets"] == len(inner) * len(behind)


@pytest.mark.parametrize("suite", [GCM, "aes128-sha256"])
@pytest.mark.parametrize(("next_header", "inner"), [
    (4, ipv6()), (41, ipv4()), (4, b""), (41, b""), (6, ipv4()), (17, b"datagram"), (0, ipv4()), (50, ipv4()),
    (4, ipv4()[:-1]), (41, ipv6()[:-1]), (4, b"\x44" + ipv4()[1:]), (41, ipv6()[:39]), (4, ipv4()[:19]),
    (4, ipv4()[:2] + b"\x00\x13" + ipv4()[4:]),
])  # fmt: skip
def test_what_comes_out_of_a_tunnel_is_one_whole_ip_packet(suite: str, next_header: int, inner: bytes) -> None:
    """E14, A03: authentic or not, anything else is refused, and does not move what is behind it."""
    sender, sa = outbound(suite, mode="transport"), inbound(suite)
    sealed = seal(sender, inner, next_header=next_header) + seal(sender, ipv4(), next_header=4)
    results = receive(sa, sealed)
    assert results.statuses == [Status.MALFORMED, Status.OK]
    assert results.packets.tolist() == [b"", ipv4()]
    assert list(results.next_headers) == [0, 4]
    assert sa.counters["octets"] == len(ipv4())


@pytest.mark.parametrize("mode", ["tunnel", "transport"])
@pytest.mark.parametrize("contents", [b"", b"\x00", b"\xff" * 100, ipv4(), bytes(1000)])
def test_a_dummy_may_hold_anything(mode: str, contents: bytes) -> None:
    """E13: RFC 4303 2.6; discarded without looking at what it holds, between packets that are kept."""
    sender = outbound(mode="transport")
    sealed = [seal(sender, data, next_header=number)[0] for data, number in ((ipv4(), 4), (contents, 59), (ipv4(), 4))]
    sa = inbound(mode=mode)
    results = receive(sa, sealed)
    assert results.statuses == [Status.OK, Status.DUMMY, Status.OK]
    assert results.packets.tolist() == [ipv4(), b"", ipv4()]
    assert sa.counters["dummy"] == 1


@pytest.mark.parametrize("mode", ["tunnel", "transport"])
@pytest.mark.parametrize("trailer", [b"\x00\x00\x02\x3b", b"\xff\xff\xff\x3b", b"\x02\x01\x02\x3b"])
def test_a_dummy_may_hold_anything_for_padding_too(mode: str, trailer: bytes) -> None:
    """E13: RFC 4303 2.6; all but its next header need not be well-formed, so it is no audited event."""
    sa = inbound(NULL, mode=mode)
    assert status(sa, by_hand(1, bytes(8) + trailer)) is Status.DUMMY
    assert (sa.counters["dummy"], sa.counters["bad_padding"], sa.sequence_number) == (1, 0, 1)


@pytest.mark.parametrize("addresses", [OUTER, OUTER6])
@pytest.mark.parametrize("tfc", [None, 800])
@pytest.mark.parametrize("inner", [ipv4(flags="DF"), ipv6()], ids=["v4", "v6"])
def test_a_dummy_cannot_be_told_from_a_packet_on_the_wire(
    addresses: tuple[str, str], tfc: int | None, inner: bytes
) -> None:
    """E13, E14: the same headers, the same length when both are padded, numbers from the same sequence."""
    sa = outbound(tunnel=addresses, tfc=tfc, hop_limit=55)
    size = tfc or len(inner)
    (real,) = seal(sa, inner, framing="ip")
    results = sa.dummies(1, size, framing="ip")
    (dummy,) = results.packets.tolist()
    assert len(dummy) == len(real)
    read = IP if addresses is OUTER else IPv6
    first, second = read(real), read(dummy)
    ignored = {"id", "chksum"}
    assert {k: v for k, v in first.fields.items() if k not in ignored} == {
        k: v for k, v in second.fields.items() if k not in ignored
    }
    assert results.sequence_numbers == [2]
    assert receive(inbound(), [real, dummy], framing="ip").statuses == [Status.OK, Status.DUMMY]


@pytest.mark.parametrize(("df", "flags"), [("copy", "DF"), ("set", "DF"), ("clear", "")])
def test_a_dummy_has_df_as_most_packets_have(df: str, flags: str) -> None:
    """E13: there is nothing to copy from, and nearly all traffic has it."""
    (dummy,) = outbound(tunnel=OUTER, df=df).dummies(1, 40, framing="ip").packets.tolist()
    assert str(IP(dummy).flags) == flags


def test_dummies_count_against_what_may_leave_under_a_key() -> None:
    """E02, E21."""
    sa = outbound(limits=(3, 1 << 40))
    assert sa.dummies(2, 10).ok
    assert sa.encap(PacketBatch([ipv4()] * 2)).statuses == [Status.OK, Status.LIMIT_REACHED]
    assert sa.dummies(1, 10).statuses == [Status.LIMIT_REACHED]
    end = outbound(sequence_number=0xFFFF_FFFE)
    assert end.dummies(3, 0).statuses == [Status.OK, Status.SEQUENCE_EXHAUSTED, Status.SEQUENCE_EXHAUSTED]
    assert end.dummies(0, 0).statuses == []


@pytest.mark.parametrize(("framing", "most"), [("udp", 65_496), ("ip", 65_476)])
def test_tfc_padding_never_makes_a_packet_longer_than_its_headers_can_say(framing: str, most: int) -> None:
    """E14, E16: neither of a packet nor of a dummy."""
    for tfc in (most - 16, most, 65_535):
        sa = outbound(tunnel=OUTER, udp_encap=(4500, 4500), tfc=tfc)
        for results in (sa.encap(PacketBatch([ipv4()]), framing=framing), sa.dummies(1, 10, framing=framing)):
            (sent,) = results.packets.tolist()
            assert results.statuses == [Status.TOO_LONG if not sent else Status.OK]
            assert bool(sent) is (tfc < most)
            at = 4 if framing == "udp" else 2
            assert int.from_bytes(sent[at : at + 2]) == len(sent) <= 65_535
