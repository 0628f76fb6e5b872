"""The shape of an exchange we initiate. Each exchange has its own file with one class of this shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ironswan.ike.types import Outcome
from ironswan.wire.numbers import ExchangeType

if TYPE_CHECKING:
    from ironswan.ike.payloads import Payloads
    from ironswan.ike.session import IkeSa


class Task(Protocol):
    """One exchange from the initiator's side."""

    @property
    def touches_children(self) -> bool:
        """Whether it makes, replaces or deletes Child SAs, which no rekeying of the IKE SA may cross."""

    @property
    def exchange(self) -> ExchangeType:
        """The exchange type of the request."""

    def build(self, sa: IkeSa, now: float) -> Payloads | None:
        """The payloads of the request, or None when there is nothing left to ask."""

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:
        """Act on the authenticated response."""

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:
        """The IKE SA ended, or the peer did not answer, before a response came."""
