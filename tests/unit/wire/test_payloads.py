"""One payload at a time: round trips over generated values, one case for each way to be malformed."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironswan.policy.identity import Identity
from ironswan.policy.selectors import OPAQUE_PORTS, TrafficSelector
from ironswan.policy.transforms import Proposal, Protocol, Transform
from ironswan.wire import auth, cp, delete, eap, identification, ke, notify, sa, ts
from ironswan.wire.errors import WireError

u8, u16 = st.integers(0, 255), st.integers(0, 65535)
octets = st.binary(max_size=64)
transforms = st.builds(Transform, u8, u16, st.none() | u16)
proposals = st.builds(
    Proposal, st.sampled_from([Protocol.IKE, Protocol.AH, Protocol.ESP]), st.lists(transforms, max_size=6).map(tuple),
    u8, st.sampled_from([b"", b"spi4", b"8 octets"]),
)  # fmt: skip


@st.composite
def selectors(draw):
    kind = draw(st.sampled_from([IPv4Address, IPv6Address]))
    bits = 32 if kind is IPv4Address else 128
    low, high = sorted(draw(st.tuples(*[st.integers(0, 2**bits - 1)] * 2)))
    ports = draw(st.just(OPAQUE_PORTS) | st.tuples(u16, u16).map(lambda p: tuple(sorted(p))))
    return TrafficSelector(kind(low), kind(high), draw(u8), *ports)


@given(st.lists(proposals, min_size=1, max_size=4).map(tuple))
def test_sa_round_trip(value):
    payload = sa.SaPayload(value)
    assert sa.read(sa.write(payload)) == payload


@given(st.booleans(), st.lists(selectors(), min_size=1, max_size=5).map(tuple))
def test_ts_round_trip(initiator, value):
    payload = ts.TsPayload(initiator, value)
    assert ts.read(ts.write(payload), initiator=initiator) == payload


@given(u16, octets, u8, st.binary(max_size=16))
def test_notify_round_trip(kind, data, protocol, spi):
    payload = notify.NotifyPayload(kind, data, protocol, spi)
    assert notify.read(notify.write(payload)) == payload


@given(u16, st.binary(min_size=1, max_size=64))
def test_ke_round_trip(method, data):
    assert ke.read(ke.write(ke.KePayload(method, data))) == ke.KePayload(method, data)


@given(st.booleans(), u8, octets, st.binary(min_size=3, max_size=3))
def test_identification_round_trip(initiator, kind, data, reserved):
    """A peer's reserved octets included, since its AUTH covers them."""
    payload = identification.IdPayload(initiator, Identity(kind, data), reserved)
    assert identification.read(identification.write(payload), initiator=initiator) == payload


@given(st.lists(st.binary(min_size=4, max_size=4), max_size=6).map(tuple))
def test_delete_round_trip(spis):
    payload = delete.DeletePayload(Protocol.ESP, spis)
    assert delete.read(delete.write(payload)) == payload


@given(u8, st.lists(st.tuples(st.integers(0, 0x7FFF), octets), max_size=4).map(tuple))
def test_configuration_round_trip(kind, attributes):
    assert cp.read(cp.write(cp.CpPayload(kind, attributes))) == cp.CpPayload(kind, attributes)


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (ke.read, b"\0\x13\0\0"),
        (auth.read, b"\2\0\0"),
        (notify.read, b"\0\4\0\1abc"),
        (delete.read, b"\3\4\0\2abcd"),
        (delete.read, b"\1\4\0\1abcd"),
        (delete.read, b"\1\0\0\1"),
        (delete.read, b"\x09\4\0\1abcd"),
        (cp.read, b"\1\0\0\0\0\1\0\5abc"),
        (cp.read, b"\1\0\0\0\0\1"),
        (eap.read, b"\1\1\0\5"),
        (lambda body: identification.read(body, initiator=True), b"\2\0\0"),
        (lambda body: identification.read(body, initiator=True), b"\2\0\0\0" + bytes(1025)),
        (sa.read, b""),
        (sa.read, struct.pack("!BBHBBBB", 1, 0, 8, 1, 1, 0, 0)),
        (sa.read, struct.pack("!BBHBBBB", 0, 0, 7, 1, 1, 0, 0)),
        (sa.read, struct.pack("!BBHBBBB", 0, 0, 8, 1, 1, 9, 0)),
        (sa.read, struct.pack("!BBHBBBB", 2, 0, 8, 1, 1, 0, 0)),
    ],
)
def test_malformed_payload_is_refused(read, body):
    with pytest.raises(WireError):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\0\0\0\0",
        b"\1\0\0\0",
        b"\2\0\0\0" + struct.pack("!BBHHH", 7, 0, 16, 0, 65535) + bytes(8),
        b"\1\0\0\0" + struct.pack("!BBHHH", 7, 0, 12, 0, 65535) + bytes(4),
        b"\1\0\0\0" + struct.pack("!BBHHH", 7, 0, 0, 0, 65535) + bytes(8),
        b"\1\0\0\0" + struct.pack("!BBHHH", 7, 6, 16, 90, 80) + bytes(8),
        b"\1\0\0\0" + struct.pack("!BBHHH", 7, 0, 16, 0, 65535) + b"\2\0\0\0\1\0\0\0",
        b"\1\0\0\0" + struct.pack("!BBHHH", 7, 0, 16, 0, 65535) + bytes(9),
    ],
)
def test_malformed_traffic_selectors_are_refused(body):
    """I76, and the class of faults where a count, a length, a family or an order lies."""
    with pytest.raises(WireError):
        ts.read(body, initiator=True)


@pytest.mark.parametrize("length", range(8))
def test_substructure_shorter_than_its_own_header_is_refused(length):
    """I07: proposals, transforms and selectors; otherwise the reader would stand still."""
    proposal = struct.pack("!BBHBBBB", 2, 0, length, 1, 1, 0, 0) + bytes(8)
    with pytest.raises(WireError, match=f"proposal length {length} "):
        sa.read(proposal)
    transform = struct.pack("!BBHBBH", 3, 0, length, 1, 0, 20) * 2
    with pytest.raises(WireError, match=f"transform length {length} "):
        sa.read(struct.pack("!BBHBBBB", 0, 0, 8 + len(transform), 1, 1, 0, 2) + transform)
    selector = struct.pack("!BBHHH", 99, 0, length, 0, 65535)
    with pytest.raises(WireError, match=f"traffic selector length {length} "):
        ts.read(b"\2\0\0\0" + selector * 2, initiator=True)


def sa_body(transform_counts):
    transform = struct.pack("!BBHBBH", 3, 0, 8, 1, 0, 20)
    last_transform = struct.pack("!BBHBBH", 0, 0, 8, 1, 0, 20)
    parts = []
    for index, count in enumerate(transform_counts):
        transforms = transform * (count - 1) + (last_transform if count else b"")
        more = 0 if index == len(transform_counts) - 1 else 2
        parts.append(struct.pack("!BBHBBBB", more, 0, 8 + len(transforms), 1, 1, 0, count) + transforms)
    return b"".join(parts)


def test_offer_of_more_proposals_or_transforms_than_anybody_makes_is_refused_unread():
    """T03."""
    assert len(sa.read(sa_body([8] * 64)).proposals) == 64
    for counts in ([0] * 65, [255, 255, 3]):
        body = sa_body(counts)
        with pytest.raises(WireError, match="more than"):
            sa.read(body)
        with pytest.raises(WireError, match="more than"):
            sa.read(body + b"not looked at")


def test_more_traffic_selectors_than_can_be_counted_are_no_payload():
    """So that it is known before anything is installed."""
    selector = TrafficSelector(IPv4Address(0), IPv4Address(0))
    assert ts.write(ts.TsPayload(True, (selector,) * 255))[0] == 255
    with pytest.raises(ValueError, match="256"):
        ts.TsPayload(True, (selector,) * 256)


def test_traffic_selector_of_an_unknown_type_is_left_out():
    known = struct.pack("!BBHHH", 7, 0, 16, 0, 65535) + bytes(8)
    unknown = struct.pack("!BBHHH", 99, 0, 12, 0, 0) + bytes(4)
    read = ts.read(b"\2\0\0\0" + unknown + known, initiator=False)
    assert read.selectors == (TrafficSelector(IPv4Address(0), IPv4Address(0)),)
