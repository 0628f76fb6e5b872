"""Which request is legal in which state of an IKE SA: one table. The state diagram is drawn from it."""

from __future__ import annotations

from enum import Enum

from ironswan.ike.types import IkeState
from ironswan.wire.numbers import ExchangeType


class Handler(Enum):
    """What is done with a fresh, authenticated request."""

    AUTHENTICATE = "authenticate"
    CREATE_CHILD = "create child, rekey child or rekey IKE SA"
    INFORM = "inform"
    ADOPT_AND_CREATE = "take over from the IKE SA it replaces, then create child"
    ADOPT_AND_INFORM = "take over from the IKE SA it replaces unless it is deleted, then inform"
    NOT_NOW = "answer TEMPORARY_FAILURE"


LEGAL: dict[tuple[IkeState, ExchangeType], Handler] = {
    (IkeState.HALF_OPEN, ExchangeType.IKE_AUTH): Handler.AUTHENTICATE,
    (IkeState.ESTABLISHED, ExchangeType.CREATE_CHILD_SA): Handler.CREATE_CHILD,
    (IkeState.ESTABLISHED, ExchangeType.INFORMATIONAL): Handler.INFORM,
    (IkeState.REKEYED, ExchangeType.CREATE_CHILD_SA): Handler.NOT_NOW,
    (IkeState.REKEYED, ExchangeType.INFORMATIONAL): Handler.INFORM,
    (IkeState.REDUNDANT, ExchangeType.CREATE_CHILD_SA): Handler.ADOPT_AND_CREATE,
    (IkeState.REDUNDANT, ExchangeType.INFORMATIONAL): Handler.ADOPT_AND_INFORM,
    (IkeState.DELETING, ExchangeType.CREATE_CHILD_SA): Handler.NOT_NOW,
    (IkeState.DELETING, ExchangeType.INFORMATIONAL): Handler.INFORM,
}


def legal(state: IkeState, exchange: int) -> Handler | None:
    """The handler of a request, or None: drop it."""
    try:
        return LEGAL.get((state, ExchangeType(exchange)))
    except ValueError:
        return None
