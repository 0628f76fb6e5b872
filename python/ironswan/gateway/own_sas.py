"""Which workers may ask for Child SAs of their own (RFC 9611), and when they may ask again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ironswan.gateway.log import plain
from ironswan.wire.numbers import NotifyType

if TYPE_CHECKING:
    from ironswan.dataplane.port import DataPlane
    from ironswan.gateway.policies import Policies
    from ironswan.ike.events import ChildSa
    from ironswan.ike.types import Outcome

# RFC 9611 6: not at once after the peer deleted it, or both would go on for ever.
AGAIN_AFTER = 10.0
# Traffic makes both sides ask at the same time, and more SAs than there are workers: the initiator goes first.
YIELD_FOR = 2.0
log = logging.getLogger("ironswan.gateway")


class OwnSas:
    """Invites workers to ask; the data plane passes on the request of one that has packets."""

    def __init__(self, dataplane: DataPlane, policies: Policies) -> None:
        """Nobody is invited."""
        self._dataplane = dataplane
        self._policies = policies

    def sends(self, child: ChildSa) -> None:
        """A Child SA is sent on: where it serves all, each worker may have another beside it."""
        policy = self._policies.policy_of(child.child_id)
        if not child.per_resource or child.worker is not None or policy is None:
            return
        for worker in range(self._dataplane.workers()):
            if child.initiator:
                self._invite(policy, worker)
            else:
                self._invite_later(policy, worker, YIELD_FOR)

    def gone(self, child: ChildSa, policy: int | None) -> None:
        """A Child SA is no more: its worker may ask again, later."""
        if child.worker is not None and policy is not None:
            self._invite_later(policy, child.worker, AGAIN_AFTER)

    def answered(self, policy: int, worker: int, outcome: Outcome) -> None:
        """What became of a worker's request. Only a peer that is busy is asked again (RFC 7296 2.25)."""
        if outcome.notify == NotifyType.TEMPORARY_FAILURE:
            self._invite_later(policy, worker, AGAIN_AFTER)
        elif outcome.kind == "peer_refused":
            log.info("worker %d goes on with the SA for all: %s", worker, plain(outcome.message))

    def _invite_later(self, policy: int, worker: int, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._invite, policy, worker)

    def _invite(self, policy: int, worker: int) -> None:
        if self._policies.carrier(policy, None) is not None and self._policies.carrier(policy, worker) is None:
            self._dataplane.invite(policy, worker)
