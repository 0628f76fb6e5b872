"""IKE_AUTH from the initiator's side (RFC 7296 1.2, 2.15): prove, verify, first Child SA."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ironswan.crypto.auth import constant_time_equal, psk_auth, signed_octets
from ironswan.ike import child_create, exchange, sa_init, uniqueness
from ironswan.ike.child_negotiation import ChildOffer, Place, accept, make_offer, offer_payloads
from ironswan.ike.children import install
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.informational import FailureTask
from ironswan.ike.lifetime import announce, established
from ironswan.ike.narrowing import packet_selectors
from ironswan.ike.outcomes import peer_refused
from ironswan.ike.payloads import Payloads, error_notify, find, find_id
from ironswan.ike.refusal import Refusal
from ironswan.ike.selection import definite, own_identity, shared_secret
from ironswan.ike.types import Because, IkeState, Outcome
from ironswan.policy.identity import Identity, matches
from ironswan.wire import identification
from ironswan.wire.auth import AuthPayload
from ironswan.wire.identification import IdPayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType
from ironswan.wire.sa import SaPayload

if TYPE_CHECKING:
    from ironswan.ike.sa_init import InitTask
    from ironswan.ike.session import IkeSa
    from ironswan.ike.wanted import WantedChild

SHARED_KEY_MIC = 2


@dataclass(slots=True)
class AuthTask:
    """The one IKE_AUTH exchange, with the first Child SA in it."""

    touches_children: ClassVar[bool] = True
    wanted: list[WantedChild]
    operation: int | None
    attempt: int
    secret: bytes = field(repr=False)
    offer: ChildOffer | None = None

    @property
    def exchange(self) -> ExchangeType:
        """IKE_AUTH."""
        return ExchangeType.IKE_AUTH

    def build(self, sa: IkeSa, now: float) -> Payloads:  # noqa: ARG002
        """IDi, [INITIAL_CONTACT], [IDr], AUTH, [SA, TSi, TSr]."""
        assert sa.local_id is not None
        expected = definite(sa.connection.remote.id)
        first = self.wanted[0] if self.wanted else None
        if first is not None:
            selectors = packet_selectors(sa, first.policy, first.packet)
            place, mode = Place(per_resource=first.policy.per_resource), first.policy.mode
            self.offer = make_offer(sa, first.policy, selectors, place, mode=mode, in_auth=True)
        return (
            IdPayload(True, sa.local_id),
            *((NotifyPayload(NotifyType.INITIAL_CONTACT),) if _is_initial_contact(sa) else ()),
            *((IdPayload(False, expected),) if expected else ()),
            AuthPayload(SHARED_KEY_MIC, own_auth(sa, self.secret)),
            *(offer_payloads(self.offer) if self.offer else ()),
        )

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:
        """Verify the peer before anything else it says is believed."""
        failure, peer, proof = error_notify(payloads), find_id(payloads, False), find(payloads, AuthPayload)
        if failure is not None and proof is None:
            self._fail(sa, peer_refused(sa, failure.type, sa.connection.proposals, "the IKE SA"), now)
        elif peer is None or proof is None:
            self._distrust(sa, "the peer's IKE_AUTH answer lacks IDr or AUTH", now)
        elif not matches(sa.connection.remote.id, peer.identity):
            self._distrust(sa, f"the peer says it is {peer.identity}, not {sa.connection.remote.id}", now)
        elif shared_secret(sa.context.configuration, sa.local_id or peer.identity, peer.identity) != self.secret:
            self._distrust(sa, f"the secret in use does not belong to {peer.identity}", now)
        elif not peer_auth_is_valid(sa, self.secret, peer, proof):
            self._distrust(sa, f"the peer's AUTH does not verify: the secret for {peer.identity} differs", now)
        else:
            self._established(sa, peer.identity, payloads, now)

    def _established(self, sa: IkeSa, peer: Identity, payloads: Payloads, now: float) -> None:
        sa.remote_id = peer
        established(sa, now)
        announce(sa)
        if self.offer is not None:
            self._first_child(sa, self.offer, payloads, now)
        else:
            text = f"IKE SA with {sa.remote_id} established"
            sa.context.operations.finish(self.operation, Outcome("established", text))
        for wanted in self.wanted[1:]:
            child_create.create(sa, wanted, now)
        uniqueness.retire_minimal(sa, now)

    def _first_child(self, sa: IkeSa, offer: ChildOffer, payloads: Payloads, now: float) -> None:
        operation = self.wanted[0].operation
        failure = error_notify(payloads)
        if failure is not None and find(payloads, SaPayload) is None:
            # RFC 7296 2.21.2: the IKE SA stays, whatever became of its first child.
            child_create.refused(sa, offer, failure, operation, now)
            return
        spec = accept(sa, offer, payloads)
        if isinstance(spec, Refusal):
            child_create.not_acceptable(sa, offer, spec, payloads, operation, now)
            return
        child_create.succeeded(sa, install(sa, spec, now, outbound=True), operation)

    def _distrust(self, sa: IkeSa, detail: str, now: float) -> None:
        """RFC 7296 2.21.2: the responder believes it is established, so tell it in an exchange of our own."""
        sa.reject(NotifyType.AUTHENTICATION_FAILED, Because.AUTHENTICATION, detail, now)
        failing = Outcome("local_refused", detail, int(NotifyType.AUTHENTICATION_FAILED))
        finish_wanted(sa, self.wanted, self.operation, failing)
        self.release(sa)
        sa.state = IkeState.DELETING
        exchange.enqueue(sa, FailureTask(int(NotifyType.AUTHENTICATION_FAILED), detail), now)

    def _fail(self, sa: IkeSa, outcome: Outcome, now: float) -> None:
        sa.reject(outcome.notify, Because.PEER_REFUSED, outcome.message, now)
        self.release(sa)
        finish_wanted(sa, self.wanted, self.operation, outcome)
        close_sa(sa, outcome.message, now, Ending.PEER, outcome=outcome)

    def release(self, sa: IkeSa) -> None:
        """Give the unused SPI back."""
        if self.offer is not None:
            sa.context.environment.release_spi(self.offer.inbound_spi)

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:
        """No answer, or the IKE SA was closed."""
        self.release(sa)
        give_up(sa, self.wanted, self.operation, self.attempt, outcome, now)


def start(sa: IkeSa, task: InitTask, now: float) -> None:
    """Keys are there: authenticate, if we have a secret at all."""
    sa.local_id = own_identity(sa.connection, sa.local)
    peer = definite(sa.connection.remote.id)
    secret = shared_secret(sa.context.configuration, sa.local_id, peer)
    if secret is None:
        text = f"no secret for {sa.local_id} and {peer or sa.remote.address}: add one with these ids to secrets"
        sa.reject(None, Because.NO_SECRET, text, now)
        finish_wanted(sa, task.wanted, task.operation, Outcome("local_refused", text))
        close_sa(sa, text, now, Ending.OURS)
        return
    sa.state = IkeState.AUTH_SENT
    exchange.send(sa, AuthTask(task.wanted, task.operation, task.attempt, secret), now)


def own_auth(sa: IkeSa, secret: bytes) -> bytes:
    """AUTH data over our own first message (RFC 7296 2.15)."""
    assert sa.suite is not None
    assert sa.keys is not None
    assert sa.local_id is not None
    message, nonce, sk_p = (
        (sa.init_request, sa.nonce_r, sa.keys.sk_pi) if sa.initiator else (sa.init_response, sa.nonce_i, sa.keys.sk_pr)
    )
    return psk_auth(
        sa.suite.prf,
        secret,
        signed_octets(sa.suite.prf, message, nonce, sk_p, identification.write(IdPayload(sa.initiator, sa.local_id))),
    )


def peer_auth_is_valid(sa: IkeSa, secret: bytes, peer: IdPayload, proof: AuthPayload) -> bool:
    """Whether the peer's AUTH proves that it holds the secret; compared in constant time.

    It covers the ID payload as the peer sent it, reserved octets and all (RFC 7296 2.15).
    """
    assert sa.suite is not None
    assert sa.keys is not None
    message, nonce, sk_p = (
        (sa.init_response, sa.nonce_i, sa.keys.sk_pr) if sa.initiator else (sa.init_request, sa.nonce_r, sa.keys.sk_pi)
    )
    octets = signed_octets(sa.suite.prf, message, nonce, sk_p, identification.write(peer))
    expected = psk_auth(sa.suite.prf, secret, octets)
    return proof.method == SHARED_KEY_MIC and constant_time_equal(expected, proof.data)


def _is_initial_contact(sa: IkeSa) -> bool:
    """Whether we know of no other IKE SA between the two identities, whichever connection it is of (RFC 7296 2.4)."""
    if sa.connection.unique == "never":
        return False
    return not any(other is not sa and _between_same(sa, other) for other in sa.context.sas.values())


def _between_same(sa: IkeSa, other: IkeSa) -> bool:
    """Whether an IKE SA that is up, or authenticates just now, may be between the two identities of this one.

    Who the peer is has not been said yet: it is whom the connection expects.
    """
    up = other.announced and other.state is not IkeState.CLOSED
    if other.local_id != sa.local_id or not (up or other.state is IkeState.AUTH_SENT):
        return False
    peer = other.remote_id or definite(other.connection.remote.id)
    return peer is None or matches(sa.connection.remote.id, peer)


def finish_wanted(sa: IkeSa, wanted: list[WantedChild], operation: int | None, outcome: Outcome) -> None:
    """Everything that waited for this IKE SA has the same outcome."""
    sa.context.operations.finish(operation, outcome)
    for each in wanted:
        sa.context.operations.finish(each.operation, outcome)


def give_up(
    sa: IkeSa, wanted: list[WantedChild], operation: int | None, attempt: int, outcome: Outcome, now: float
) -> None:
    """A connection attempt ended without an answer: start over if `keyingtries` allows (0: without end)."""
    tries = sa.connection.keyingtries
    if outcome.kind == "timeout" and (tries == 0 or attempt < tries):
        sa_init.connect(
            sa.context, sa.connection, wanted, (sa.first_local, sa.first_remote), now,
            operation=operation, attempt=attempt + 1,
        )  # fmt: skip
        return
    finish_wanted(sa, wanted, operation, outcome)
