"""IKE_SA_INIT from the responder's side (RFC 7296 1.2, 2.6): stateless until the cookie is right, no keys before it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from ironswan.crypto import ke
from ironswan.crypto.keys import IkeSuite, derive_ike_keys
from ironswan.ike import nat
from ironswan.ike.payloads import Payloads, find, notify
from ironswan.ike.refusal import Refusal
from ironswan.ike.sa_init import NONCE_LENGTH, fragmentation_offer
from ironswan.ike.selection import candidates
from ironswan.ike.session import IkeSa
from ironswan.ike.suites import ke_method
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import Because, Datagram, Endpoint
from ironswan.policy.connection import Connection
from ironswan.policy.proposals import Mismatch, select
from ironswan.policy.transforms import Proposal
from ironswan.wire.ke import KePayload
from ironswan.wire.message import Message, write_message
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType
from ironswan.wire.sa import SaPayload

if TYPE_CHECKING:
    from ironswan.ike.context import Context
    from ironswan.ike.cookies import CookieJar

# From an IPv4 address or an IPv6 /64 (I40); and in all, for cookies stop only who cannot receive at the addresses it
# uses. Each takes some 7 KB beside the peer's request, and an honest peer has authenticated within a second.
HALF_OPEN_PER_SOURCE = 32
HALF_OPEN_IN_ALL = 4000


@dataclass(frozen=True, slots=True)
class _Request:
    sa: SaPayload
    ke: KePayload
    nonce: NoncePayload
    message: Message
    datagram: Datagram


def respond(context: Context, cookies: CookieJar, message: Message, datagram: Datagram, now: float) -> None:
    """Answer a request for an IKE SA."""
    key = (datagram.remote, sha256(datagram.data).digest())
    known = context.sas.get(context.init_requests.get(key, b""))
    if known is not None:
        # RFC 7296 2.1: retransmissions are known by their content, not by SPI and address.
        context.send(datagram.local, datagram.remote, known.init_response)
        return
    request = _parse(message, datagram)
    if request is None:
        context.reject(None, Because.MISSING_PAYLOAD, "IKE_SA_INIT lacks SA, KE or Nonce", datagram.remote, now)
        return
    refusal = _cookie_needed(context, cookies, request, now)
    if refusal is None:
        chosen = _choose(context, request)
        refusal = chosen if isinstance(chosen, Refusal) else _establish(context, request, *chosen, key, now)
    if refusal is not None:
        _refuse(context, request, refusal, now)


def _parse(message: Message, datagram: Datagram) -> _Request | None:
    header = message.header
    sa, key, nonce = (
        find(message.payloads, SaPayload),
        find(message.payloads, KePayload),
        find(message.payloads, NoncePayload),
    )
    if sa is None or key is None or nonce is None or not 16 <= len(nonce.data) <= 256:
        return None
    if not header.initiator or header.message_id != 0 or header.spi_i == bytes(8) or header.spi_r != bytes(8):
        return None
    return _Request(sa, key, nonce, message, datagram)


def _cookie_needed(context: Context, cookies: CookieJar, request: _Request, now: float) -> Refusal | None:
    threshold = context.settings.cookie_threshold
    remote, spi_i, nonce = request.datagram.remote, request.message.header.spi_i, request.nonce.data
    if threshold <= 0 or context.half_open + context.wasted.at(now) < threshold:
        return None
    given = notify(request.message.payloads, NotifyType.COOKIE)
    if given is not None and cookies.valid(given.data, nonce, remote, spi_i, now):
        return None
    data = cookies.make(nonce, remote, spi_i, now)
    return Refusal(NotifyType.COOKIE, Because.COOKIE_NEEDED, "many half-open IKE SAs: a cookie is asked for", data)


def _choose(context: Context, request: _Request) -> tuple[Connection, Proposal] | Refusal:
    fitting = candidates(context.configuration, request.datagram.local, request.datagram.remote)
    # RFC 7296 3.3.1: a proposal for an initial IKE SA has no SPI (I49).
    offered = tuple(p for p in request.sa.proposals if not p.spi)
    mismatches: dict[tuple[Proposal, ...], Mismatch] = {}
    for connection in fitting:
        if connection.proposals in mismatches:
            continue
        selected = select(connection.proposals, offered)
        if not isinstance(selected, Mismatch):
            return connection, selected.chosen
        mismatches[connection.proposals] = selected
    if not mismatches:
        detail = f"no connection fits {request.datagram.local} === {request.datagram.remote}"
        return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, Because.NO_CONNECTION, detail)
    return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, Because.NO_PROPOSAL, next(iter(mismatches.values())))


def _establish(
    context: Context,
    request: _Request,
    connection: Connection,
    proposal: Proposal,
    key: tuple[object, bytes],
    now: float,
) -> Refusal | None:
    """Keys, a half-open IKE SA and the answer; None if it was answered or is best met with silence."""
    method, remote = ke_method(proposal), request.datagram.remote
    if method != request.ke.method:
        detail = f"the peer guessed key exchange method {request.ke.method}, we choose {method}"
        return Refusal(NotifyType.INVALID_KE_PAYLOAD, Because.WRONG_KE, detail, method.to_bytes(2, "big"))
    if reason := _too_many(context, remote):
        context.reject(None, Because.HALF_OPEN_LIMIT, reason, remote, now)
        return None
    try:
        ke.check(method, request.ke.data)
        state = ke.new(method, context.environment.entropy)
        shared = state.shared(request.ke.data)
    except ke.InvalidPublicValue as error:
        context.wasted.add(now)
        context.reject(None, Because.BAD_KE, str(error), remote, now)  # RFC 6989 2.5: silence
        return None
    sa = _half_open(context, request, connection, now)
    sa.proposal, sa.suite = proposal, IkeSuite.from_proposal(proposal)
    sa.keys = derive_ike_keys(sa.suite, shared, sa.nonce_i, sa.nonce_r, sa.spi_i, sa.spi_r)
    payloads = _answer(sa, request, proposal, KePayload(method, state.public))
    sa.init_response = write_message(
        sa.spi_i, sa.spi_r, ExchangeType.IKE_SA_INIT, initiator=False, response=True, message_id=0, payloads=payloads
    )
    sa.responses.answered((sa.init_response,))
    sa.init_key = (remote, key[1])
    context.init_requests[sa.init_key] = sa.spi
    sa.transmit((sa.init_response,), now)
    return None


def _too_many(context: Context, remote: Endpoint) -> str:
    """Why there may not be one more half-open IKE SA; empty if there may."""
    if context.half_open >= HALF_OPEN_IN_ALL:
        return "too many half-open IKE SAs"
    full = context.half_open_from(remote.address) >= HALF_OPEN_PER_SOURCE
    return f"too many half-open IKE SAs from {remote.address}" if full else ""


def _half_open(context: Context, request: _Request, connection: Connection, now: float) -> IkeSa:
    datagram = request.datagram
    sa = IkeSa(
        context, connection, initiator=False, spi_i=request.message.header.spi_i, spi_r=context.new_ike_spi(),
        local=datagram.local, remote=datagram.remote, now=now,
    )  # fmt: skip
    sa.nonce_i, sa.nonce_r = request.nonce.data, context.environment.entropy(NONCE_LENGTH)
    sa.init_request = datagram.data
    payloads = request.message.payloads
    sa.peer_fragments = notify(payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None
    nat.learn(sa, payloads, sa.spi_i, bytes(8), datagram.local, datagram.remote, sa.connection.encap)
    sa.half_open_from = datagram.remote.address
    context.began(datagram.remote.address)
    sa.arm(TimerKind.HALF_OPEN, now + context.settings.half_open_timeout)
    return sa


def _answer(sa: IkeSa, request: _Request, proposal: Proposal, key: KePayload) -> Payloads:
    local, remote = request.datagram.local, request.datagram.remote
    return (
        SaPayload((proposal,)),
        key,
        NoncePayload(sa.nonce_r),
        *nat.detection_payloads(sa.context, sa.spi_i, sa.spi_r, local, remote, force_encap=sa.connection.encap),
        *(fragmentation_offer(sa.connection) if sa.peer_fragments else ()),
        NotifyPayload(NotifyType.CHILDLESS_IKEV2_SUPPORTED),
    )


def _refuse(context: Context, request: _Request, refusal: Refusal, now: float) -> None:
    """An unprotected answer: smaller than the request, rate limited, and nothing is kept."""
    datagram, header = request.datagram, request.message.header
    context.reject(refusal.notify, refusal.because, refusal.why, datagram.remote, now)
    if refusal.notify != NotifyType.COOKIE and not context.init_replies.allow(now):
        return
    payload = NotifyPayload(refusal.notify, refusal.data)
    reply = write_message(
        header.spi_i,
        bytes(8),
        ExchangeType.IKE_SA_INIT,
        initiator=False,
        response=True,
        message_id=0,
        payloads=(payload,),
    )
    context.send(datagram.local, datagram.remote, reply)
