"""Whole messages: the header and the chain of payloads (RFC 7296 3.1, 3.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ironswan.wire import (
    auth,
    cert,
    cp,
    delete,
    eap,
    encrypted,
    header,
    identification,
    ke,
    nonce,
    notify,
    sa,
    ts,
    vendor_id,
)  # fmt: skip
from ironswan.wire.auth import AuthPayload
from ironswan.wire.cert import CertPayload, CertReqPayload
from ironswan.wire.cp import CpPayload
from ironswan.wire.delete import DeletePayload
from ironswan.wire.eap import EapPayload
from ironswan.wire.encrypted import EncryptedFragment, EncryptedPayload
from ironswan.wire.errors import WireError
from ironswan.wire.header import Header
from ironswan.wire.identification import IdPayload
from ironswan.wire.ke import KePayload
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType, PayloadType
from ironswan.wire.sa import SaPayload
from ironswan.wire.ts import TsPayload
from ironswan.wire.vendor_id import VendorIdPayload

GENERIC_HEADER = struct.Struct("!BBH")
_CRITICAL = 0x80
_ONCE = frozenset(
    {PayloadType.SA, PayloadType.KE, PayloadType.NONCE, PayloadType.ID_I, PayloadType.ID_R, PayloadType.AUTH,
     PayloadType.TS_I, PayloadType.TS_R}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnknownPayload:
    """A payload of a type that is not known here and not critical; skipped, kept for the record."""

    type: int
    critical: bool
    body: bytes


Payload = (
    SaPayload | KePayload | NoncePayload | IdPayload | AuthPayload | CertPayload | CertReqPayload | NotifyPayload
    | DeletePayload | VendorIdPayload | TsPayload | CpPayload | EapPayload | EncryptedPayload | EncryptedFragment
    | UnknownPayload
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """A header and its payloads. An SK or SKF payload, always the last, is unopened."""

    header: Header
    payloads: tuple[Payload, ...]


_READERS: dict[int, Callable[[bytes], Payload]] = {
    PayloadType.SA: sa.read,
    PayloadType.KE: ke.read,
    PayloadType.NONCE: nonce.read,
    PayloadType.ID_I: lambda body: identification.read(body, initiator=True),
    PayloadType.ID_R: lambda body: identification.read(body, initiator=False),
    PayloadType.AUTH: auth.read,
    PayloadType.CERT: cert.read,
    PayloadType.CERTREQ: cert.read_request,
    PayloadType.NOTIFY: notify.read,
    PayloadType.DELETE: delete.read,
    PayloadType.VENDOR_ID: vendor_id.read,
    PayloadType.TS_I: lambda body: ts.read(body, initiator=True),
    PayloadType.TS_R: lambda body: ts.read(body, initiator=False),
    PayloadType.CP: cp.read,
    PayloadType.EAP: eap.read,
}

_WRITERS: dict[type, tuple[Callable[[Any], int], Callable[[Any], bytes]]] = {
    SaPayload: (lambda _: PayloadType.SA, sa.write),
    KePayload: (lambda _: PayloadType.KE, ke.write),
    NoncePayload: (lambda _: PayloadType.NONCE, nonce.write),
    IdPayload: (lambda p: PayloadType.ID_I if p.initiator else PayloadType.ID_R, identification.write),
    AuthPayload: (lambda _: PayloadType.AUTH, auth.write),
    CertPayload: (lambda _: PayloadType.CERT, cert.write),
    CertReqPayload: (lambda _: PayloadType.CERTREQ, cert.write),
    NotifyPayload: (lambda _: PayloadType.NOTIFY, notify.write),
    DeletePayload: (lambda _: PayloadType.DELETE, delete.write),
    VendorIdPayload: (lambda _: PayloadType.VENDOR_ID, vendor_id.write),
    TsPayload: (lambda p: PayloadType.TS_I if p.initiator else PayloadType.TS_R, ts.write),
    CpPayload: (lambda _: PayloadType.CP, cp.write),
    EapPayload: (lambda _: PayloadType.EAP, eap.write),
    UnknownPayload: (lambda p: p.type, lambda p: p.body),
}


def read_message(datagram: bytes) -> Message:
    """Parse a datagram without its non-ESP marker. Raises WireError, and nothing else, on what is no message."""
    head = header.read(datagram)
    return Message(head, _read_chain(head.next_payload, bytes(datagram[header.LENGTH :]), encrypted_allowed=True))


def read_payloads(first: int, body: bytes) -> tuple[Payload, ...]:
    """Parse a chain of payloads, as it stands inside SK; a nested SK is refused (I08). Raises WireError."""
    return _read_chain(first, bytes(body), encrypted_allowed=False)


def _read_chain(kind: int, body: bytes, *, encrypted_allowed: bool) -> tuple[Payload, ...]:
    payloads: list[Payload] = []
    seen: set[int] = set()
    offset = 0
    while kind != PayloadType.NONE:
        if len(body) - offset < GENERIC_HEADER.size:
            raise WireError("a payload header is cut short")
        following, flags, length = GENERIC_HEADER.unpack_from(body, offset)
        if length < GENERIC_HEADER.size or offset + length > len(body):
            raise WireError(f"payload length {length} does not fit")
        content = body[offset + GENERIC_HEADER.size : offset + length]
        offset += length
        if kind in (PayloadType.SK, PayloadType.SKF):
            if not encrypted_allowed:
                raise WireError("an encrypted payload inside another")
            if offset != len(body):
                raise WireError("the encrypted payload is not the last")
            payloads.append(
                encrypted.read(following, content)
                if kind == PayloadType.SK
                else encrypted.read_fragment(following, content)
            )
            return tuple(payloads)
        if kind in _ONCE and kind in seen:
            raise WireError(f"a second {PayloadType(kind).name} payload")
        seen.add(kind)
        payloads.append(_read_one(kind, bool(flags & _CRITICAL), content))
        kind = following
    if offset != len(body):
        raise WireError("octets follow the last payload")
    return tuple(payloads)


def _read_one(kind: int, critical: bool, content: bytes) -> Payload:
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(content)
    if critical:
        notify_data = bytes((kind,))
        raise WireError(f"critical payload {kind} is unknown", NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, notify_data)
    return UnknownPayload(kind, critical, content)


def write_payloads(payloads: Sequence[Payload]) -> tuple[int, bytes]:
    """The type of the first payload, and the chain."""
    pairs = [(kind(p), body(p)) for p, (kind, body) in ((p, _WRITERS[type(p)]) for p in payloads)]
    following = [kind for kind, _ in pairs[1:]] + [int(PayloadType.NONE)]
    chain = b"".join(
        GENERIC_HEADER.pack(next_kind, 0, GENERIC_HEADER.size + len(body)) + body
        for next_kind, (_, body) in zip(following, pairs, strict=False)
    )
    return (pairs[0][0] if pairs else int(PayloadType.NONE)), chain


def write_message(
    spi_i: bytes,
    spi_r: bytes,
    exchange: int,
    *,
    initiator: bool,
    response: bool,
    message_id: int,
    payloads: Sequence[Payload],
) -> bytes:
    """A whole message in clear. `initiator` is whether the sender is the original initiator (RFC 7296 3.1)."""
    first, chain = write_payloads(payloads)
    length = header.LENGTH + len(chain)
    head = Header(spi_i, spi_r, first, header.MAJOR_VERSION, 0, exchange, initiator, response, message_id, length)
    return header.write(head) + chain
