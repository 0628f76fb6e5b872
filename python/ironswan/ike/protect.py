"""Sealing and opening protected messages (RFC 7296 3.14, RFC 7383 2.5), whole or in fragments. Knows no exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.crypto import sk
from ironswan.ike.fragmentation import MAX_FRAGMENTS, Fragment, Whole, largest_datagram, split
from ironswan.ike.payloads import Payloads
from ironswan.wire import header
from ironswan.wire.encrypted import FRAGMENT_HEADER, EncryptedFragment, EncryptedPayload
from ironswan.wire.header import Header
from ironswan.wire.message import GENERIC_HEADER, write_payloads
from ironswan.wire.numbers import PayloadType

if TYPE_CHECKING:
    from ironswan.crypto.keys import IkeSuite
    from ironswan.ike.session import IkeSa


def seal(sa: IkeSa, exchange: int, message_id: int, payloads: Payloads, *, response: bool) -> tuple[bytes, ...]:
    """The datagrams of one message: one, or fragments when it is too large and the peer takes them."""
    first, plaintext = write_payloads(payloads)
    assert sa.suite is not None
    whole = _seal_one(sa, exchange, message_id, plaintext, first, response=response)
    limit = largest_datagram(sa.context.settings.fragment_size, sa.remote.address.version)
    if len(whole) <= limit or not _may_fragment(sa):
        return (whole,)
    pieces = split(plaintext, _room(sa.suite, limit))
    if len(pieces) > MAX_FRAGMENTS:
        return (whole,)
    return tuple(
        _seal_one(
            sa, exchange, message_id, piece, first if number == 1 else 0, response=response, place=(number, len(pieces))
        )
        for number, piece in enumerate(pieces, start=1)
    )


def _room(suite: IkeSuite, limit: int) -> int:
    """The most plaintext a fragment of `limit` octets carries."""
    frame = header.LENGTH + GENERIC_HEADER.size + FRAGMENT_HEADER.size
    room = limit - frame - sk.sealed_length(suite, 0)
    while room > 1 and frame + sk.sealed_length(suite, room) > limit:
        room -= 1
    return max(room, 1)


def _may_fragment(sa: IkeSa) -> bool:
    return sa.peer_fragments and sa.connection.fragmentation in ("yes", "force")


def _seal_one(
    sa: IkeSa,
    exchange: int,
    message_id: int,
    plaintext: bytes,
    first: int,
    *,
    response: bool,
    place: tuple[int, int] | None = None,
) -> bytes:
    assert sa.suite is not None
    assert sa.keys is not None
    kind = PayloadType.SK if place is None else PayloadType.SKF
    extra = b"" if place is None else FRAGMENT_HEADER.pack(*place)
    body_length = GENERIC_HEADER.size + len(extra) + sk.sealed_length(sa.suite, len(plaintext))
    head = header.write(
        Header(
            sa.spi_i,
            sa.spi_r,
            kind,
            header.MAJOR_VERSION,
            0,
            exchange,
            sa.initiator,
            response,
            message_id,
            header.LENGTH + body_length,
        )
    )
    associated = head + GENERIC_HEADER.pack(first, 0, body_length) + extra
    sk_e, sk_a = (sa.keys.sk_ei, sa.keys.sk_ai) if sa.initiator else (sa.keys.sk_er, sa.keys.sk_ar)
    return associated + sk.seal(sa.suite, sk_e, sk_a, associated, plaintext, _next_iv(sa))


def _next_iv(sa: IkeSa) -> bytes:
    """A counter for AEAD and CTR, which must never see an IV twice (RFC 5282 3.1); unpredictable octets for CBC."""
    assert sa.suite is not None
    length = sk.iv_length(sa.suite)
    if not sk.iv_is_counter(sa.suite):
        return sa.context.environment.entropy(length)
    sa.sealed += 1
    return sa.sealed.to_bytes(length, "big")


def open_payload(
    sa: IkeSa, head: Header, data: bytes, payload: EncryptedPayload | EncryptedFragment
) -> Whole | Fragment:
    """Authenticate and decrypt, before anything is kept (RFC 7383 2.6). Raises sk.IntegrityError."""
    assert sa.suite is not None
    assert sa.keys is not None
    associated = data[: len(data) - len(payload.body)]
    sk_e, sk_a = (sa.keys.sk_er, sa.keys.sk_ar) if sa.initiator else (sa.keys.sk_ei, sa.keys.sk_ai)
    plaintext = sk.open(sa.suite, sk_e, sk_a, associated, payload.body)
    if isinstance(payload, EncryptedPayload):
        return Whole(payload.first, plaintext)
    return Fragment(head.message_id, head.response, payload.number, payload.total, payload.first, plaintext)
