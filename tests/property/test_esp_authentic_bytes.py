"""A peer with the key may seal anything: nothing is raised, and what comes out is a packet that the SA is for."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Results, Status, suites

SPI = 0x1001
KEYMAT = {suite.keyword: bytes(range(suite.keymat_len)) for suite in suites() if suite.protocol == "esp"}
KEYWORDS = list(KEYMAT)
# One of each way that packets of a batch are opened: one by one, side by side, without a cipher.
UNLIKE = ["aes128gcm16", "aes128-sha256", "null-sha512", "3des-aesxcbc", "aes256ctr-sha1", "chacha20poly1305iiv"]
V4 = bytes.fromhex("4500001c000100004011000a0a0100010a02000103e807d00008c0de")
V6 = bytes.fromhex("6000000000081140" + "fd00" + "00" * 13 + "01" + "fd00" + "00" * 13 + "02" + "03e807d00008c0de")
SELECTORS: list[Any] = [
    None,
    [],
    [("10.1.0.0/16", "10.2.0.0/16")],
    [("10.1.0.1[udp/1000]", "0.0.0.0/0"), ("::/0", "::/0")],
]


@st.composite
def payloads(draw: st.DrawFn) -> tuple[bytes, int]:
    """Nearly IP packets, and anything; and a next header."""
    octets = bytearray(draw(st.sampled_from([V4, V6, b""])) + draw(st.binary(max_size=30)))
    for _ in range(draw(st.integers(0, 3)) if octets else 0):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets), draw(st.sampled_from([4, 41, 4, 41, 59, 0, 6, 17, 255]))


def sealed(keyword: str, some: list[tuple[bytes, int]]) -> list[bytes]:
    sender = OutboundSa(SPI, keyword, KEYMAT[keyword], mode="transport")
    return [sender.encap(PacketBatch([data]), next_header=number).packets.tolist()[0] for data, number in some]


def framed(esp: bytes, framing: str, traffic_class: int) -> bytes:
    if framing == "udp":
        return b"\x11\x94\x11\x94" + (8 + len(esp)).to_bytes(2) + bytes(2) + esp
    if framing == "ip":
        return (
            bytes([0x45, traffic_class])
            + (20 + len(esp)).to_bytes(2)
            + bytes.fromhex("00000000403200000a0000010a000002")
            + esp
        )
    return esp


def whole(packet: bytes, next_header: int) -> bool:
    """Whether that is an IP packet and nothing else."""
    if next_header == 4:
        return packet[0] >> 4 == 4 and len(packet) == int.from_bytes(packet[2:4]) >= 4 * (packet[0] & 15) >= 20
    return next_header == 41 and packet[0] >> 4 == 6 and len(packet) == 40 + int.from_bytes(packet[4:6])


@given(
    st.sampled_from(KEYWORDS),
    st.lists(payloads(), max_size=8),
    st.sampled_from(("esp", "udp", "ip")),
    st.sampled_from(SELECTORS),
    st.integers(0, 3),
)
def test_whatever_a_peer_seals_only_whole_packets_leave_a_tunnel(
    keyword: str, some: list[tuple[bytes, int]], framing: Any, selectors: Any, ecn: int
) -> None:
    """A03, A12, E14: a packet that leaves begins what was sealed, but for its ECN field and checksum."""
    sa = InboundSa(SPI, keyword, KEYMAT[keyword], selectors=selectors)
    packets = [framed(esp, framing, ecn) for esp in sealed(keyword, some)]
    results = sa.decap(PacketBatch(packets), framing=framing)
    allowed = {Status.OK, Status.MALFORMED, Status.DUMMY, Status.SELECTOR_MISMATCH, Status.ECN_ILLEGAL}
    for (data, number), packet, status in zip(some, results.packets.tolist(), results.statuses, strict=True):
        assert status in allowed
        assert (status is Status.DUMMY) == (number == 59)
        if status is Status.OK:
            assert whole(packet, number)
            assert packet[12:] == data[12 : len(packet)]
        else:
            assert packet == b""
    assert sa.sequence_number == len(some), "all are authentic"
    assert sa.window == (1 << len(some)) - 1


@given(
    st.sampled_from(KEYWORDS), st.lists(payloads(), max_size=8), st.sampled_from(("esp", "udp", "ip")), st.booleans()
)
def test_transport_mode_hands_out_what_was_sealed(
    keyword: str, some: list[tuple[bytes, int]], framing: Any, nat: bool
) -> None:
    """E13: and behind a NAT nothing but a checksum is changed, whatever the payload is."""
    nat_oa = ("10.1.0.1", "10.2.0.1") if nat else None
    sa = InboundSa(SPI, keyword, KEYMAT[keyword], mode="transport", nat_oa=nat_oa)
    results = sa.decap(PacketBatch([framed(esp, framing, 0) for esp in sealed(keyword, some)]), framing=framing)
    front = 20 if framing == "ip" else 0
    for (data, number), packet, status in zip(some, results.packets.tolist(), results.statuses, strict=True):
        assert status is (Status.DUMMY if number == 59 else Status.OK)
        if number == 59:
            continue
        at = {6: 16, 17: 6}.get(number) if nat and front else None
        assert len(packet) == front + len(data)
        changed = {index for index, (a, b) in enumerate(zip(packet[front:], data, strict=True)) if a != b}
        assert changed <= (set() if at is None else {at, at + 1})


def outcome(sa: InboundSa, results: Results) -> tuple[object, ...]:
    packets = results.packets.tolist()
    return results.statuses, packets, results.next_headers, results.sequence_numbers, sa.counters, sa.window


@settings(max_examples=60)
@given(
    st.lists(payloads(), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
    st.sampled_from(("esp", "udp", "ip")),
    st.sampled_from(SELECTORS),
    st.integers(0, 3),
)
def test_suites_differ_in_their_ciphers_only(
    some: list[tuple[bytes, int]], chance: Any, framing: Any, selectors: Any, ecn: int
) -> None:
    """E04, E05: the same packets, some of them twice and out of order, come to the same whatever protects them."""
    order = [chance.randrange(len(some)) for _ in some]
    seen = []
    for keyword in UNLIKE:
        esp = sealed(keyword, some)
        sa = InboundSa(SPI, keyword, KEYMAT[keyword], selectors=selectors, replay_window=32)
        results = sa.decap(PacketBatch([framed(esp[index], framing, ecn) for index in order]), framing=framing)
        seen.append(outcome(sa, results))
    assert all(other == seen[0] for other in seen)


@given(
    st.sampled_from(KEYWORDS),
    st.booleans(),
    st.lists(st.binary(max_size=90), max_size=6),
    st.integers(1, 1 << 20),
    st.sampled_from(("esp", "udp", "ip")),
)
def test_forged_packets_change_nothing_of_an_sa_in_use(
    keyword: str, esn: bool, forged: list[bytes], last: int, framing: Any
) -> None:
    """E04, E17: neither its number nor its window nor what it takes next."""
    sender = OutboundSa(SPI, keyword, KEYMAT[keyword], mode="transport", esn=esn, sequence_number=last)
    sa = InboundSa(SPI, keyword, KEYMAT[keyword], mode="transport", esn=esn, sequence_number=last)
    one, two, three = (framed(packet, framing, 0) for packet in sender.encap(PacketBatch([b"x"] * 3)).packets.tolist())
    assert sa.decap(PacketBatch([one, three]), framing=framing).ok
    before = (sa.sequence_number, sa.window, sa.counters["packets"], sa.counters["octets"])
    numbers = [number.to_bytes(8)[4:] for number in (last + 2, last + 4, last + 1000, last - 1)]
    packets = [framed(SPI.to_bytes(4) + number + body, framing, 0) for body in forged for number in numbers]
    results = sa.decap(PacketBatch(packets), framing=framing)
    assert set(results.statuses) <= {Status.ICV_MISMATCH, Status.REPLAYED, Status.MALFORMED}
    assert (sa.sequence_number, sa.window, sa.counters["packets"], sa.counters["octets"]) == before
    assert sa.decap(PacketBatch([two]), framing=framing).ok


@given(st.binary(max_size=60), st.integers(0, 255), st.sampled_from(("esp", "udp", "ip")), st.sampled_from(KEYWORDS))
def test_a_cut_or_lengthened_packet_never_opens(payload: bytes, where: int, framing: Any, keyword: str) -> None:
    """E17: at any place, with its headers' lengths made to fit."""
    (esp,) = sealed(keyword, [(payload, 4)])
    where %= len(esp)
    for changed in (esp[:where], esp[:where] + esp[where + 1 :], esp + bytes([where]), esp + esp[-8:]):
        sa = InboundSa(SPI, keyword, KEYMAT[keyword], mode="transport")
        results = sa.decap(PacketBatch([framed(changed, framing, 0)]), framing=framing)
        assert not results.ok
        assert sa.window == 0
