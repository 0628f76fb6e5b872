"""Finding payloads in a message. Knows payload types, not their meaning in an exchange."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from ironswan.wire.identification import IdPayload
from ironswan.wire.message import Payload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.ts import TsPayload

Payloads = tuple[Payload, ...]
P = TypeVar("P")


def find(payloads: Payloads, kind: type[P]) -> P | None:
    """The first payload of a type."""
    return next((p for p in payloads if isinstance(p, kind)), None)


def find_id(payloads: Payloads, initiator: bool) -> IdPayload | None:
    """IDi or IDr."""
    return next((p for p in payloads if isinstance(p, IdPayload) and p.initiator == initiator), None)


def find_ts(payloads: Payloads, initiator: bool) -> TsPayload | None:
    """TSi or TSr."""
    return next((p for p in payloads if isinstance(p, TsPayload) and p.initiator == initiator), None)


def notifies(payloads: Payloads, notify_type: int) -> Iterator[NotifyPayload]:
    """All notifications of a type."""
    return (p for p in payloads if isinstance(p, NotifyPayload) and p.type == notify_type)


def notify(payloads: Payloads, notify_type: int) -> NotifyPayload | None:
    """The first notification of a type."""
    return next(notifies(payloads, notify_type), None)


def error_notify(payloads: Payloads) -> NotifyPayload | None:
    """The first error notification, known or not (RFC 7296 3.10.1: an unknown error fails the request all the same)."""
    return next((p for p in payloads if isinstance(p, NotifyPayload) and p.is_error), None)
