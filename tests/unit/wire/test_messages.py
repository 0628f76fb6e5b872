"""Whole messages, captured from others and malformed by us."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from ironswan.policy.transforms import Proposal, Protocol, Transform, TransformType
from ironswan.wire.encrypted import EncryptedFragment, EncryptedPayload
from ironswan.wire.errors import WireError
from ironswan.wire.message import UnknownPayload, read_message, read_payloads, write_message, write_payloads
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType, PayloadType
from ironswan.wire.sa import SaPayload

VECTORS = Path(__file__).parents[2] / "vectors" / "ike_messages.json"
CAPTURES = json.loads(VECTORS.read_text())["messages"]
WHOLE = {item["id"]: bytes.fromhex(item["octets"]) for item in CAPTURES}
READABLE = {
    name: octets
    for name, octets in WHOLE.items()
    if struct.unpack_from("!I", octets, 24)[0] == len(octets) and octets[:8] != bytes(8)
}
# A proposal of type 6 with the critical bit set on known payloads: parsed, but nothing that we would write.
NOT_CANONICAL = {"tcpdump-ikev2pI2-0"}
SPI_I, SPI_R = b"initiate", b"responds"


def message(*payloads, exchange=ExchangeType.IKE_SA_INIT) -> bytes:
    return write_message(SPI_I, SPI_R, exchange, initiator=True, response=False, message_id=7, payloads=payloads)


@pytest.mark.parametrize("name", READABLE)
def test_captured_message_is_read_and_written_back(name):
    octets = READABLE[name]
    read = read_message(octets)
    if isinstance(read.payloads[-1], EncryptedPayload) or name in NOT_CANONICAL:
        return
    head = read.header
    written = write_message(
        head.spi_i, head.spi_r, head.exchange, initiator=head.initiator, response=head.response,
        message_id=head.message_id, payloads=read.payloads,
    )  # fmt: skip
    assert written == octets


@pytest.mark.parametrize("name", READABLE)
def test_every_truncation_is_refused(name):
    octets = READABLE[name]
    for length in range(len(octets)):
        with pytest.raises(WireError):
            read_message(octets[:length])


@pytest.mark.parametrize("name", list(READABLE)[:4])
def test_every_length_field_set_wrong_is_refused_or_read_as_something_else(name):
    """No value of any two octets makes the reader raise anything but WireError."""
    octets = READABLE[name]
    for at in range(len(octets) - 1):
        for value in (0, 3, 4, 0xFFFF):
            changed = octets[:at] + struct.pack("!H", value) + octets[at + 2 :]
            try:
                read_message(changed)
            except WireError as error:
                assert error.reason


@pytest.mark.parametrize("length", range(4))
@pytest.mark.parametrize("kind", [PayloadType.NONCE, PayloadType.SK, PayloadType.SKF, 200])
def test_payload_shorter_than_its_own_header_is_refused(kind, length):
    """I07: otherwise the reader would stand still, for ever with a payload that names itself as the next."""
    chain = struct.pack("!BBH", kind, 0, length) + bytes(16)
    head = bytearray(message())
    head[16] = kind
    head[24:28] = struct.pack("!I", len(head) + len(chain))
    with pytest.raises(WireError, match=f"payload length {length} does not fit"):
        read_message(bytes(head) + chain)


def test_major_version_above_two_is_named_in_the_refusal():
    """I02."""
    octets = bytearray(message(NoncePayload(bytes(16))))
    octets[17] = 0x30
    with pytest.raises(WireError) as refused:
        read_message(bytes(octets))
    assert refused.value.notify == NotifyType.INVALID_MAJOR_VERSION


def test_minor_version_and_reserved_bits_are_ignored():
    """I02, I03."""
    octets = bytearray(message(NoncePayload(bytes(16))))
    octets[17] = 0x2F
    octets[19] |= 0xC7
    octets[29] |= 0x7F
    assert read_message(bytes(octets)).payloads == (NoncePayload(bytes(16)),)


def test_unknown_payload_is_skipped_unless_critical():
    """I04."""
    body = struct.pack("!BBH", PayloadType.NONCE, 0, 6) + b"??" + struct.pack("!BBH", 0, 0, 20) + bytes(16)
    assert read_payloads(200, body) == (UnknownPayload(200, False, b"??"), NoncePayload(bytes(16)))
    with pytest.raises(WireError) as refused:
        read_payloads(200, body[:1] + b"\x80" + body[2:])
    assert refused.value.notify == NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD
    assert refused.value.data == bytes((200,))


def test_critical_bit_on_a_known_payload_is_ignored():
    """I05."""
    body = struct.pack("!BBH", 0, 0x80, 20) + bytes(16)
    assert read_payloads(PayloadType.NONCE, body) == (NoncePayload(bytes(16)),)


def test_duplicate_of_a_payload_that_stands_once_is_a_syntax_error():
    """I06."""
    first, chain = write_payloads((NoncePayload(bytes(16)), NoncePayload(bytes(16))))
    with pytest.raises(WireError) as refused:
        read_payloads(first, chain)
    assert refused.value.notify == NotifyType.INVALID_SYNTAX


def test_encrypted_payload_is_last_and_never_nested():
    """I08."""
    nested = struct.pack("!BBH", 0, 0, 8) + b"body"
    with pytest.raises(WireError):
        read_payloads(PayloadType.SK, nested)
    octets = bytearray(message(NoncePayload(bytes(16))))
    octets[16] = PayloadType.SK
    assert read_message(bytes(octets)).payloads == (EncryptedPayload(0, bytes(16)),)
    octets += nested
    octets[24:28] = struct.pack("!I", len(octets))
    with pytest.raises(WireError):
        read_message(bytes(octets))


@pytest.mark.parametrize(("number", "total"), [(0, 1), (2, 1), (1, 0), (0, 0)])
def test_fragment_numbers_that_cannot_be_are_refused(number, total):
    """I108."""
    body = struct.pack("!BBHHH", 0, 0, 12, number, total) + b"body"
    head = bytearray(message())
    head[16] = PayloadType.SKF
    head[24:28] = struct.pack("!I", len(head) + len(body))
    with pytest.raises(WireError):
        read_message(bytes(head) + body)


def test_fragment_is_read():
    body = struct.pack("!BBHHH", 35, 0, 12, 1, 3) + b"body"
    head = bytearray(message())
    head[16] = PayloadType.SKF
    head[24:28] = struct.pack("!I", len(head) + len(body))
    assert read_message(bytes(head) + body).payloads == (EncryptedFragment(35, 1, 3, b"body"),)


def test_transform_with_an_unknown_attribute_is_marked():
    """I45."""
    attribute = struct.pack("!HHHH", 0x800E, 128, 0x8063, 1)
    transform = struct.pack("!BBHBBH", 0, 0, 16, 1, 0, 20) + attribute
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(transform), 1, 1, 0, 1) + transform
    body = struct.pack("!BBH", 0, 0, 4 + len(proposal)) + proposal
    (payload,) = read_payloads(PayloadType.SA, body)
    assert payload.proposals[0].transforms == (Transform(1, 20, 128, attributes_known=False),)


def test_sa_counts_and_lengths_must_agree():
    """I07."""
    proposal = Proposal(Protocol.IKE, (Transform(TransformType.ENCR, 20, 128), Transform(TransformType.PRF, 5)), 1)
    first, chain = write_payloads((SaPayload((proposal,)),))
    assert read_payloads(first, chain) == (SaPayload((proposal,)),)
    for count in (0, 1, 3, 255):
        with pytest.raises(WireError):
            read_payloads(first, chain[:11] + bytes((count,)) + chain[12:])


@pytest.mark.parametrize("size", [0, 15, 257])
def test_nonce_out_of_bounds_is_refused(size):
    """I34."""
    body = struct.pack("!BBH", 0, 0, 4 + size) + bytes(size)
    with pytest.raises(WireError):
        read_payloads(PayloadType.NONCE, body)


def test_notify_knows_errors_from_status():
    """I13."""
    assert NotifyPayload(NotifyType.NO_PROPOSAL_CHOSEN).is_error
    assert NotifyPayload(8191).is_error
    assert not NotifyPayload(NotifyType.COOKIE).is_error
