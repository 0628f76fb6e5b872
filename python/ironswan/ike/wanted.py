"""A Child SA somebody asked for, before there is one."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.ike.types import Packet
from ironswan.policy.connection import ChildPolicy
from ironswan.policy.selectors import TrafficSelector

Selectors = tuple[TrafficSelector, ...]


@dataclass(frozen=True, slots=True)
class WantedChild:
    """A child to set up as soon as the IKE SA allows it; `packet` is the one that asked for it.

    With `worker`: one more beside the child there is with these `selectors`, for that worker alone (RFC 9611).
    """

    policy: ChildPolicy
    operation: int | None = None
    packet: Packet | None = None
    worker: int | None = None
    selectors: tuple[Selectors, Selectors] = ((), ())
