"""Child SAs for single resources, here the workers of the data plane (RFC 9611): who may have one, and where it goes.

The first Child SA serves all; those beside it have the same selectors and suite and one worker each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ironswan.ike import child_create, exchange
from ironswan.ike.child_negotiation import SERVES_ALL, ChildOffer, Place, requested_mode
from ironswan.ike.children import start_outbound
from ironswan.ike.narrowing import narrowed
from ironswan.ike.payloads import Payloads, find_ts, notify
from ironswan.ike.refusal import Refusal
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import Because, Outcome
from ironswan.ike.wanted import Selectors, WantedChild
from ironswan.policy.connection import ChildPolicy
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType

if TYPE_CHECKING:
    from ironswan.ike.children import Child
    from ironswan.ike.session import IkeSa
    from ironswan.ike.task import Task

# RFC 9611 6: at least double the number of our own CPUs; a peer that has more of them may have more.
LEAST_LIMIT = 16
# Child SAs of an IKE SA: more than any number of selectors needs, and so few that no peer fills our memory.
LEAST_CHILDREN = 1024
# Longer than any implementation waits before it sends a request for the third time.
CONFIRMED_AFTER = 30.0


def _serving_all(sa: IkeSa, name: str, selectors: tuple[Selectors, Selectors]) -> Child | None:
    """The child of that name and selectors beside which there may be others."""
    return next((c for c in _group(sa, name, selectors) if c.worker is None and c.per_resource), None)


def _group(sa: IkeSa, name: str, selectors: tuple[Selectors, Selectors]) -> list[Child]:
    wanted = tuple(map(set, selectors))
    named = (c for c in sa.children.values() if c.policy.name == name and c.usable)
    return [c for c in named if tuple(map(set, c.selectors)) == wanted]


def place(beside: Child, worker: int) -> Place:
    """The place of one more SA beside another."""
    return Place(worker, True, beside.transforms)


def place_of(child: Child) -> Place:
    """The place a successor of this SA has."""
    return Place(child.worker, child.per_resource, child.transforms if child.worker is not None else ())


def add(sa: IkeSa, beside: Child, worker: int, operation: int, now: float) -> None:
    """Ask the peer for an SA for one worker, if there may be one and there is none."""
    if reason := _why_not(sa, beside, worker, (sa.task, *sa.queue)):
        sa.context.operations.finish(operation, Outcome("local_refused", f"child {beside.policy.name}: {reason}"))
        return
    wanted = WantedChild(beside.policy, operation, worker=worker, selectors=beside.selectors)
    exchange.enqueue(sa, child_create.ChildCreateTask(wanted), now)


def still_wanted(sa: IkeSa, wanted: WantedChild, worker: int) -> Child | str:
    """The SA beside which one for a worker is to be set up now, or why not: the peer may have made it."""
    beside = _serving_all(sa, wanted.policy.name, wanted.selectors)
    return "it is gone" if beside is None else _why_not(sa, beside, worker) or beside


def _why_not(sa: IkeSa, beside: Child, worker: int, asking: Iterable[Task | None] = ()) -> str:
    if beside.worker is not None or not beside.per_resource or not beside.usable:
        return "there are no SAs for single workers beside this one"
    if beside.full or sa.no_additional_sas:
        return "the peer grants no more SAs for single workers"
    return f"worker {worker} has an SA of its own" if _used(sa, beside, asking)[worker] else ""


def refused(sa: IkeSa, offer: ChildOffer, failure: NotifyPayload) -> None:
    """The peer did not grant the SA of one worker: unless it is only busy, it is not asked again."""
    beside = _serving_all(sa, offer.policy.name, (offer.ts_local, offer.ts_remote))
    if offer.place.worker is not None and beside is not None and failure.type != NotifyType.TEMPORARY_FAILURE:
        beside.full = True


def admit(sa: IkeSa, policy: ChildPolicy, payloads: Payloads) -> Place | Refusal:
    """Where a new Child SA that the peer asks for goes: it serves all, or it is for our least busy worker."""
    ts_i, ts_r = find_ts(payloads, True), find_ts(payloads, False)
    asked = notify(payloads, NotifyType.SA_RESOURCE_INFO) is not None
    if not policy.per_resource or not asked or ts_i is None or ts_r is None:
        return SERVES_ALL
    granted = narrowed(sa, policy, ts_r.selectors, ts_i.selectors, mode=requested_mode(payloads, policy.mode))
    beside = _serving_all(sa, policy.name, (granted.local, granted.remote))
    if beside is None:
        return Place(per_resource=True)
    # What only waits to be asked for is not asked for once a worker has this one.
    used, workers = _used(sa, beside, (sa.task,)), sa.context.environment.workers
    if used.total() >= max(LEAST_LIMIT, 2 * workers):
        detail = f"child {policy.name} has {used.total()} SAs for single workers already"
        return Refusal(NotifyType.TS_MAX_QUEUE, Because.RESOURCES, detail)
    return place(beside, min(range(workers), key=lambda worker: used[worker]))


def most_children(sa: IkeSa) -> int:
    """How many Child SAs a peer may make on an IKE SA: twice what is configured, with one for every worker."""
    each = 1 + max(LEAST_LIMIT, 2 * sa.context.environment.workers)
    return max(LEAST_CHILDREN, 2 * len(sa.connection.children) * each)


def too_many(sa: IkeSa) -> Refusal | None:
    """Why there is no further Child SA (RFC 7296 1.3)."""
    if sum(child.usable for child in sa.children.values()) < most_children(sa):
        return None
    detail = f"the peer has {most_children(sa)} Child SAs on one IKE SA already"
    return Refusal(NotifyType.NO_ADDITIONAL_SAS, Because.RESOURCES, detail)


def too_many_replaced(sa: IkeSa) -> Refusal | None:
    """Why no Child SA is rekeyed: each may be in the middle of it, but those that were are to be deleted some time."""
    if len(sa.children) < 2 * most_children(sa):
        return None
    detail = "the peer rekeys Child SAs and does not delete the old ones"
    return Refusal(NotifyType.TEMPORARY_FAILURE, Because.RESOURCES, detail)


def await_peer(sa: IkeSa, child: Child, now: float) -> None:
    """We granted an SA for a worker: another carries its packets until the peer is known to receive (RFC 7296 2.8).

    It is once it sends on the SA, makes another request, or has not repeated the one for this SA for a while.
    """
    if child.waiting:
        # Pauses between repetitions grow, though not beyond the time that has passed.
        patience = max(CONFIRMED_AFTER, 2 * (now - child.created))
        sa.arm(TimerKind.CHILD_CONFIRM, now + patience, child.inbound_spi)


def repeated(sa: IkeSa, now: float) -> None:
    """The peer repeats its last request, so it does not have our answer yet."""
    for child in _awaiting(sa):
        await_peer(sa, child, now)


def confirmed(sa: IkeSa) -> None:
    """The peer makes a new request, so it has our answer to the last one."""
    for child in _awaiting(sa):
        start_outbound(sa, child)


def _awaiting(sa: IkeSa) -> list[Child]:
    armed = (sa.children.get(spi) for kind, spi in sa.timers if kind is TimerKind.CHILD_CONFIRM)
    return [child for child in armed if child is not None and child.waiting and child.usable]


def _used(sa: IkeSa, beside: Child, asking: Iterable[Task | None] = ()) -> Counter[int]:
    """How many SAs each worker has beside this one, those some exchanges ask for included."""
    name, selectors = beside.policy.name, beside.selectors
    wanted = (task.wanted for task in asking if isinstance(task, child_create.ChildCreateTask))
    found = [each.worker for each in wanted if (each.policy.name, each.selectors) == (name, selectors)]
    found += [child.worker for child in _group(sa, name, selectors)]
    return Counter(worker for worker in found if worker is not None)
