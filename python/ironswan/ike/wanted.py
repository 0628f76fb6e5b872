"""A Child SA somebody asked for, before there is one."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.ike.types import Packet
from ironswan.policy.connection import ChildPolicy


@dataclass(frozen=True, slots=True)
class WantedChild:
    """A child to set up as soon as the IKE SA allows it; `packet` is the one that asked for it."""

    policy: ChildPolicy
    operation: int | None = None
    packet: Packet | None = None
