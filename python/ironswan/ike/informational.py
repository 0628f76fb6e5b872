"""INFORMATIONAL exchanges (RFC 7296 1.4): liveness, failures told afterwards, and the dispatch of Deletes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ironswan.ike import delete
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.outcomes import notify_name
from ironswan.ike.payloads import Payloads, error_notify
from ironswan.ike.types import Because, Outcome
from ironswan.policy.transforms import Protocol
from ironswan.wire.delete import DeletePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa

FATAL = (NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX)


@dataclass(slots=True)
class LivenessTask:
    """An empty request: is the peer there (RFC 7296 2.4)."""

    touches_children: ClassVar[bool] = False

    @property
    def exchange(self) -> ExchangeType:
        """INFORMATIONAL."""
        return ExchangeType.INFORMATIONAL

    def build(self, sa: IkeSa, now: float) -> Payloads:  # noqa: ARG002
        """No payloads."""
        return ()

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:
        """Having got an answer is the answer."""

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:
        """Nobody waits for it."""


@dataclass(slots=True)
class FailureTask:
    """Tell the peer why the IKE SA ends (RFC 7296 2.21.2)."""

    touches_children: ClassVar[bool] = False
    notify: int
    reason: str

    @property
    def exchange(self) -> ExchangeType:
        """INFORMATIONAL."""
        return ExchangeType.INFORMATIONAL

    def build(self, sa: IkeSa, now: float) -> Payloads:  # noqa: ARG002
        """The error."""
        return (NotifyPayload(self.notify),)

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:  # noqa: ARG002
        """Told; the IKE SA ends."""
        close_sa(sa, self.reason, now, Ending.OURS)

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:
        """The IKE SA ends anyway."""


def respond(sa: IkeSa, payloads: Payloads, now: float) -> Payloads:
    """Answer an INFORMATIONAL request; every one gets an answer, if only an empty one (RFC 7296 1.4)."""
    deletes = [p for p in payloads if isinstance(p, DeletePayload)]
    if any(p.protocol == Protocol.IKE for p in deletes):
        return delete.respond_ike(sa, now)
    failure = error_notify(payloads)
    if failure is not None and failure.type in FATAL:
        reason = f"the peer ended the IKE SA ({notify_name(failure.type)})"
        sa.reject(None, Because.PEER_REFUSED, reason, now)
        close_sa(sa, reason, now, Ending.PEER, lingering=True)
        return ()
    answers: Payloads = ()
    for payload in deletes:
        if payload.protocol == Protocol.ESP:
            answers += delete.respond_children(sa, payload, now)
    return answers
