"""From a datagram to a handler: find the IKE SA, check the window, authenticate, reassemble. Never raises on input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.crypto import sk
from ironswan.ike import exchange, expiry, nat, protect, requests, resources, sa_init, sa_init_respond
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.fragmentation import REASSEMBLY_TIMEOUT, Fragment, Whole
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import Because, Datagram, IkeState, Outcome
from ironswan.ike.window import Arrival
from ironswan.wire import header
from ironswan.wire.encrypted import EncryptedFragment, EncryptedPayload
from ironswan.wire.errors import WireError
from ironswan.wire.header import Header
from ironswan.wire.message import Message, read_message, read_payloads, write_message
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType

if TYPE_CHECKING:
    from ironswan.ike.context import Context
    from ironswan.ike.cookies import CookieJar
    from ironswan.ike.session import IkeSa

INITIATOR_FLAG, RESPONSE_FLAG = 0x08, 0x20


def receive(context: Context, cookies: CookieJar, datagram: Datagram, now: float) -> None:
    """Take one datagram."""
    try:
        message = read_message(datagram.data)
    except WireError as error:
        _malformed(context, error, datagram, now)
        return
    if message.header.exchange != ExchangeType.IKE_SA_INIT:
        _protected(context, message, datagram, now)
    elif message.header.response:
        sa = context.sas.get(message.header.spi_i)
        if sa is not None and sa.initiator and not message.header.initiator:
            sa_init.receive_response(sa, message, datagram, now)
    else:
        sa_init_respond.respond(context, cookies, message, datagram, now)


def _malformed(context: Context, error: WireError, datagram: Datagram, now: float) -> None:
    """A request that cannot be read: said once where RFC 7296 2.5 wants it said, never in answer to a response."""
    version = error.notify == NotifyType.INVALID_MAJOR_VERSION
    because = Because.BAD_VERSION if version else Because.MALFORMED
    context.reject(None, because, error.reason, datagram.remote, now)
    data = datagram.data
    told = version or error.notify == NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD
    if not told or len(data) < header.LENGTH or data[19] & RESPONSE_FLAG or data[:8] == bytes(8):
        return
    if not version and data[18] != ExchangeType.IKE_SA_INIT:
        return
    reply = write_message(
        data[:8],
        data[8:16],
        data[18],
        initiator=not data[19] & INITIATOR_FLAG,
        response=True,
        message_id=int.from_bytes(data[20:24], "big"),
        payloads=(NotifyPayload(error.notify, error.data),),
    )
    if len(reply) <= len(data) and context.unprotected_replies.allow(now):
        context.send(datagram.local, datagram.remote, reply)


def _protected(context: Context, message: Message, datagram: Datagram, now: float) -> None:
    head = message.header
    sa = _find(context, head)
    if sa is None:
        _unknown_spi(context, head, datagram, now)
        return
    payload = message.payloads[-1] if message.payloads else None
    if not isinstance(payload, EncryptedPayload | EncryptedFragment) or sa.keys is None:
        # RFC 7296 2.21.4: nothing unprotected changes an IKE SA.
        context.reject(None, Because.UNPROTECTED, "an unprotected message for a keyed IKE SA", datagram.remote, now)
        return
    if not _in_window(sa, head):
        context.reject(None, Because.BAD_MESSAGE_ID, f"message id {head.message_id}", datagram.remote, now)
        return
    try:
        opened = protect.open_payload(sa, head, datagram.data, payload)
    except sk.IntegrityError:
        context.reject(None, Because.BAD_ICV, "the integrity check failed", datagram.remote, now)
        return
    _authenticated(sa, head, datagram, opened, now)


def _find(context: Context, head: Header) -> IkeSa | None:
    sa = context.sas.get(head.spi_r if head.initiator else head.spi_i)
    if sa is None or sa.initiator == head.initiator or (sa.spi_i, sa.spi_r) != (head.spi_i, head.spi_r):
        return None
    return sa


def _in_window(sa: IkeSa, head: Header) -> bool:
    if head.response:
        return sa.requests.matches(head.message_id, head.exchange)
    return sa.responses.classify(head.message_id) in (Arrival.NEW, Arrival.RETRANSMITTED)


def _authenticated(sa: IkeSa, head: Header, datagram: Datagram, opened: Whole | Fragment, now: float) -> None:
    if not head.response and sa.responses.classify(head.message_id) is Arrival.RETRANSMITTED:
        # RFC 7383 2.6.1: of a fragmented request only fragment 1 asks for the answer again.
        if isinstance(opened, Whole) or opened.number == 1:
            resources.repeated(sa, now)
            for data in sa.responses.response:
                sa.context.send(datagram.local, datagram.remote, data)
        return
    if isinstance(opened, Fragment):
        whole = sa.reassembly.add(opened)
        if whole is None:
            sa.arm(TimerKind.FRAGMENTS, now + REASSEMBLY_TIMEOUT)
            return
        opened = whole
        sa.disarm(TimerKind.FRAGMENTS)
    if sa.state is not IkeState.CLOSED:
        sa.last_heard = now
        nat.follow(sa, datagram.local, datagram.remote, now)
    if head.response:
        _response(sa, opened, now)
    else:
        requests.handle(sa, head.exchange, head.message_id, opened, now)
    expiry.message_ids_used(sa, now)
    exchange.pump(sa, now)


def _response(sa: IkeSa, opened: Whole, now: float) -> None:
    task = sa.requests.close()
    sa.disarm(TimerKind.RETRANSMIT)
    if task is None:
        return
    try:
        payloads = read_payloads(opened.first, opened.plaintext)
    except WireError as error:
        sa.reject(None, Because.MALFORMED, error.reason, now)
        outcome = Outcome("peer_refused", f"the peer's answer is malformed: {error.reason}")
        task.abandoned(sa, outcome, now)
        close_sa(sa, outcome.message, now, Ending.PEER, outcome=outcome)
        return
    task.response(sa, payloads, now)


def _unknown_spi(context: Context, head: Header, datagram: Datagram, now: float) -> None:
    """RFC 7296 2.21.4: one unprotected notification to where it came from, never in answer to a response."""
    context.reject(None, Because.UNKNOWN_SPI, f"no IKE SA {head.spi_i.hex()}.{head.spi_r.hex()}", datagram.remote, now)
    if head.response or not context.unprotected_replies.allow(now):
        return
    reply = write_message(
        head.spi_i, head.spi_r, head.exchange, initiator=not head.initiator, response=True,
        message_id=head.message_id, payloads=(NotifyPayload(NotifyType.INVALID_IKE_SPI),),
    )  # fmt: skip
    if len(reply) <= len(datagram.data):
        context.send(datagram.local, datagram.remote, reply)
