"""Answering the peer's requests: the legality table's handlers, and the answer that goes out and is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike import auth_respond, child_create, child_rekey, ike_rekey, informational, protect, resources
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.ike_rekey import IkeRekeyTask
from ironswan.ike.legality import Handler, legal
from ironswan.ike.payloads import Payloads, find, find_ts, notify
from ironswan.ike.refusal import Refusal
from ironswan.ike.types import Because, IkeState
from ironswan.policy.transforms import Protocol
from ironswan.wire.delete import DeletePayload
from ironswan.wire.errors import WireError
from ironswan.wire.message import read_payloads
from ironswan.wire.numbers import NotifyType
from ironswan.wire.sa import SaPayload

if TYPE_CHECKING:
    from ironswan.ike.fragmentation import Whole
    from ironswan.ike.session import IkeSa

Answer = Payloads | Refusal


def handle(sa: IkeSa, exchange: int, message_id: int, whole: Whole, now: float) -> None:
    """Act on a fresh authenticated request and answer it."""
    handler = legal(sa.state, exchange)
    if handler is None:
        sa.reject(None, Because.NOT_LEGAL, f"exchange {exchange} in state {sa.state.value}", now)
        return
    resources.confirmed(sa)
    answered = _answer(sa, handler, whole, now)
    if isinstance(answered, Refusal):
        sa.reject(answered.notify, answered.because, answered.why, now)
        if answered.fatal:
            close_sa(sa, answered.detail, now, Ending.PEER, lingering=True)
        answered = (answered.payload(),)
    datagrams = protect.seal(sa, exchange, message_id, answered, response=True)
    sa.responses.answered(datagrams)
    sa.transmit(datagrams, now)


def _answer(sa: IkeSa, handler: Handler, whole: Whole, now: float) -> Answer:
    try:
        payloads = read_payloads(whole.first, whole.plaintext)
    except WireError as error:
        # RFC 7296 2.21.3: a malformed message from an authenticated peer ends the IKE SA; an unknown payload does not.
        fatal = error.notify == NotifyType.INVALID_SYNTAX
        return Refusal(error.notify, Because.MALFORMED, error.reason, error.data, fatal=fatal)
    match handler:
        case Handler.AUTHENTICATE:
            return auth_respond.respond(sa, payloads, now)
        case Handler.CREATE_CHILD:
            return _create_child_sa(sa, payloads, now)
        case Handler.INFORM:
            return informational.respond(sa, payloads, now)
        case Handler.ADOPT_AND_CREATE:
            _take_over(sa, now)
            return _create_child_sa(sa, payloads, now)
        case Handler.ADOPT_AND_INFORM:
            if not any(isinstance(p, DeletePayload) and p.protocol == Protocol.IKE for p in payloads):
                _take_over(sa, now)
            return informational.respond(sa, payloads, now)
        case Handler.NOT_NOW:
            return Refusal(NotifyType.TEMPORARY_FAILURE, Because.NOT_LEGAL, f"the IKE SA is {sa.state.value}")


def _take_over(sa: IkeSa, now: float) -> None:
    """A request on the peer's new IKE SA proves that the peer holds it to be the survivor."""
    if sa.predecessor is not None and sa.state is IkeState.REDUNDANT:
        ike_rekey.hand_over(sa.predecessor, sa, now)


def _create_child_sa(sa: IkeSa, payloads: Payloads, now: float) -> Answer:
    """CREATE_CHILD_SA means three things (RFC 7296 1.3); while the IKE SA is rekeyed, only one of them is possible."""
    offer = find(payloads, SaPayload)
    if offer is None:
        detail = "CREATE_CHILD_SA without an SA payload"
        return Refusal(NotifyType.INVALID_SYNTAX, Because.MISSING_PAYLOAD, detail, fatal=True)
    if find_ts(payloads, True) is None and any(p.protocol == Protocol.IKE for p in offer.proposals):
        return ike_rekey.respond(sa, payloads, now)
    if isinstance(sa.task, IkeRekeyTask) or ike_rekey.live_rival(sa) is not None:
        return Refusal(NotifyType.TEMPORARY_FAILURE, Because.COLLISION, "the IKE SA is being rekeyed")
    rekey = notify(payloads, NotifyType.REKEY_SA)
    if rekey is not None:
        return child_rekey.respond(sa, rekey, payloads, now)
    return child_create.respond(sa, payloads, now)
