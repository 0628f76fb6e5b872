"""IKE_SA_INIT from the initiator's side (RFC 7296 1.2, 2.6, 2.7): the request, its retries, keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ironswan.crypto import ke
from ironswan.crypto.keys import IkeSuite, derive_ike_keys
from ironswan.ike import auth, nat
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.outcomes import peer_refused
from ironswan.ike.payloads import Payloads, error_notify, find, notify
from ironswan.ike.session import IkeSa
from ironswan.ike.suites import ke_method, numbered, offered_ke_methods
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import Because, Datagram, Endpoint, IkeState, Outcome
from ironswan.ike.wanted import WantedChild
from ironswan.policy.connection import Connection
from ironswan.policy.proposals import is_answer_to
from ironswan.policy.transforms import Proposal
from ironswan.wire.ke import KePayload
from ironswan.wire.message import Message, write_message
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType
from ironswan.wire.sa import SaPayload

if TYPE_CHECKING:
    from ironswan.ike.context import Context

MAX_RETRIES = 4
NONCE_LENGTH = 32
COOKIE_LENGTHS = range(1, 65)


@dataclass(slots=True)
class InitTask:
    """One attempt to reach the peer. Retries change the cookie or the key exchange and nothing else.

    `refusal` is what an unprotected answer said, believed when no better one came by the next retransmission.
    """

    touches_children: ClassVar[bool] = False
    wanted: list[WantedChild]
    operation: int | None
    attempt: int = 1
    retries: int = 0
    cookie: bytes = b""
    nonce: bytes = b""
    method: int = 0
    state: ke.KeyExchangeState | None = field(default=None, repr=False)
    detection: Payloads = ()
    refusal: Outcome | None = None

    @property
    def exchange(self) -> ExchangeType:
        """IKE_SA_INIT."""
        return ExchangeType.IKE_SA_INIT

    def build(self, sa: IkeSa, now: float) -> Payloads:  # noqa: ARG002
        """The request; the full proposal list every time (RFC 7296 1.2, 2.7)."""
        entropy = sa.context.environment.entropy
        proposals = numbered(sa.connection.proposals, b"")
        if not self.nonce:
            self.nonce = entropy(NONCE_LENGTH)
            self.detection = nat.detection_payloads(
                sa.context, sa.spi_i, bytes(8), sa.local, sa.remote, force_encap=sa.connection.encap
            )
        if self.state is None:
            self.method = self.method or offered_ke_methods(proposals)[0]
            self.state = ke.new(self.method, entropy)
        payloads: Payloads = (
            SaPayload(proposals),
            KePayload(self.method, self.state.public),
            NoncePayload(self.nonce),
            *self.detection,
            *fragmentation_offer(sa.connection),
        )
        return (NotifyPayload(NotifyType.COOKIE, self.cookie), *payloads) if self.cookie else payloads

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:
        """Unused: IKE_SA_INIT responses are unprotected and come in through `receive_response`."""

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:
        """Everything that waited for this IKE SA ends, or starts over if more tries are allowed."""
        auth.give_up(sa, self.wanted, self.operation, self.attempt, outcome, now)


def fragmentation_offer(connection: Connection) -> Payloads:
    """The announcement that we take IKE fragments (RFC 7383 2.3)."""
    return () if connection.fragmentation == "no" else (NotifyPayload(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED),)


def connect(
    context: Context,
    connection: Connection,
    wanted: list[WantedChild],
    endpoints: tuple[Endpoint, Endpoint],
    now: float,
    *,
    operation: int | None = None,
    attempt: int = 1,
) -> IkeSa:
    """Start an IKE SA towards a peer."""
    sa = IkeSa(
        context, connection, initiator=True, spi_i=context.new_ike_spi(), spi_r=bytes(8),
        local=endpoints[0], remote=endpoints[1], now=now,
    )  # fmt: skip
    send_request(sa, InitTask(wanted, operation, attempt), now)
    return sa


def send_request(sa: IkeSa, task: InitTask, now: float) -> None:
    """Send, or send again with what the peer asked for; always Message ID 0 and SPIr zero."""
    payloads = task.build(sa, now)
    sa.requests.next_id = 0
    sa.init_request = write_message(
        sa.spi_i, bytes(8), ExchangeType.IKE_SA_INIT, initiator=True, response=False, message_id=0, payloads=payloads
    )
    sa.requests.open(ExchangeType.IKE_SA_INIT, task, (sa.init_request,))
    sa.sent_request((sa.init_request,), now)


def receive_response(sa: IkeSa, message: Message, datagram: Datagram, now: float) -> None:
    """An unprotected answer: believed only as far as it leads to keys the peer can prove (RFC 7296 2.21.1)."""
    task = sa.task
    if sa.state is not IkeState.INIT_SENT or not isinstance(task, InitTask) or message.header.message_id != 0:
        return
    failure = error_notify(message.payloads)
    if notify(message.payloads, NotifyType.COOKIE) or (failure and failure.type == NotifyType.INVALID_KE_PAYLOAD):
        _retry(sa, task, message.payloads, now)
    elif failure is None:
        _complete(sa, task, message, datagram, now)
    elif task.refusal is None:
        task.refusal = peer_refused(sa, failure.type, sa.connection.proposals, "the IKE SA")
        sa.reject(failure.type, Because.PEER_REFUSED, task.refusal.message, now)


def give_up_if_refused(sa: IkeSa, now: float) -> bool:
    """The request would be repeated now: end the attempt instead if the peer, or a forger, refused it meanwhile."""
    task = sa.task
    if not isinstance(task, InitTask) or task.refusal is None:
        return False
    close_sa(sa, task.refusal.message, now, Ending.PEER, outcome=task.refusal)
    return True


def _retry(sa: IkeSa, task: InitTask, payloads: Payloads, now: float) -> None:
    cookie, wrong_ke = notify(payloads, NotifyType.COOKIE), notify(payloads, NotifyType.INVALID_KE_PAYLOAD)
    task.retries += 1
    if task.retries > MAX_RETRIES:
        # The answers may be forged: what was sent last stays outstanding and may still be answered by the real peer.
        sa.reject(None, Because.RETRY_LIMIT, "too many COOKIE or INVALID_KE_PAYLOAD answers", now)
        return
    if cookie is not None:
        if len(cookie.data) not in COOKIE_LENGTHS:
            sa.reject(None, Because.MALFORMED, "COOKIE of a length that is not 1 to 64", now)
            return
        task.cookie = cookie.data
    if wrong_ke is not None and not _change_method(sa, task, wrong_ke.data, now):
        return
    sa.requests.close()
    task.refusal = None
    send_request(sa, task, now)


def _change_method(sa: IkeSa, task: InitTask, data: bytes, now: float) -> bool:
    method = int.from_bytes(data, "big") if len(data) == 2 else 0
    if method == task.method or method not in offered_ke_methods(sa.connection.proposals):
        sa.reject(None, Because.WRONG_KE, f"the peer asks for key exchange method {method}, which we do not offer", now)
        return False
    task.method, task.state = method, None
    return True


def _complete(sa: IkeSa, task: InitTask, message: Message, datagram: Datagram, now: float) -> None:
    chosen = _check(sa, task, message)
    if isinstance(chosen, str):
        sa.reject(None, Because.NOT_OUR_OFFER, chosen, now)
        return
    proposal, shared, nonce = chosen
    sa.spi_r, sa.nonce_i, sa.nonce_r = message.header.spi_r, task.nonce, nonce
    sa.init_response = datagram.data
    sa.proposal, sa.suite = proposal, IkeSuite.from_proposal(proposal)
    sa.keys = derive_ike_keys(sa.suite, shared, sa.nonce_i, sa.nonce_r, sa.spi_i, sa.spi_r)
    nat.learn(sa, message.payloads, sa.spi_i, sa.spi_r, datagram.local, datagram.remote, sa.connection.encap)
    sa.peer_fragments = notify(message.payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None
    if sa.udp_encap:
        nat.float_to_nat_t(sa)
    sa.requests.close()
    sa.disarm(TimerKind.RETRANSMIT)
    auth.start(sa, task, now)


def _check(sa: IkeSa, task: InitTask, message: Message) -> tuple[Proposal, bytes, bytes] | str:
    """Proposal, shared secret and nonce of a good answer, else a sentence. Bad answers are dropped (RFC 6989 2.5)."""
    answer, key, nonce = (find(message.payloads, kind) for kind in (SaPayload, KePayload, NoncePayload))
    if not isinstance(answer, SaPayload) or not isinstance(key, KePayload) or not isinstance(nonce, NoncePayload):
        return "the answer lacks SA, KE or Nonce"
    if message.header.spi_r == bytes(8) or not 16 <= len(nonce.data) <= 256 or task.state is None:
        return "the answer has no SPI or a nonce of a wrong length"
    if len(answer.proposals) != 1 or not is_answer_to(answer.proposals[0], numbered(sa.connection.proposals, b"")):
        return "the peer chose what we did not offer"
    if ke_method(answer.proposals[0]) != task.method or key.method != task.method:
        return "the peer chose another key exchange method than it answered with"
    try:
        return answer.proposals[0], task.state.shared(key.data), nonce.data
    except ke.InvalidPublicValue as error:
        return str(error)
