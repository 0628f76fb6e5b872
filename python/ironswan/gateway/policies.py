"""Outbound policies in the data plane: one for each negotiated pair of selectors, one for each trap below them.

A policy of Child SAs may have several SAs (a rekey, both sides starting at once); the newest that may send carries it.
A worker may have SAs of its own beside those for all (RFC 9611): of these too the newest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ironswan.gateway.interfaces import DEFAULT
from ironswan.gateway.routes import Protected
from ironswan.policy.selectors import TrafficSelector

if TYPE_CHECKING:
    from ironswan.dataplane.port import DataPlane
    from ironswan.gateway.interfaces import Interfaces

Selectors = tuple[TrafficSelector, ...]
SelectorTuple = tuple[int, str, str, int, int]
Target = tuple[str, str]
_Key = tuple[Target, Selectors, Selectors, int]
_TRAP_BELOW = 1


def as_tuples(selectors: Sequence[TrafficSelector]) -> list[SelectorTuple]:
    """Selectors as the data plane takes them."""
    return [(s.protocol, str(s.start), str(s.end), s.start_port, s.end_port) for s in selectors]


def _breadth(selectors: Selectors) -> int:
    """How much the widest selector covers, in bits of address, protocol and port."""
    return max(
        (
            (int(s.end) - int(s.start)).bit_length() * 4
            + 2 * (s.protocol == 0)
            + ((s.start_port, s.end_port) == (0, 65535))
            for s in selectors
        ),
        default=0,
    )


def priority(local: Selectors, remote: Selectors, *, trap: bool) -> int:
    """Narrow before wide, and an SA before a trap for the same packets. Lower is asked first."""
    return 2 * (_breadth(remote) * 1024 + _breadth(local)) + _TRAP_BELOW * trap


@dataclass(slots=True)
class _Policy:
    id: int
    target: Target
    local: Selectors
    remote: Selectors
    interface: int
    # Outbound handles by child id, with the worker each is for, in the order in which they became usable.
    handles: dict[int, tuple[int, int | None]] = field(default_factory=dict)
    # What the data plane was told, for all (None) and for each worker.
    bound: dict[int | None, int | None] = field(default_factory=dict)

    def carrier(self, worker: int | None) -> int | None:
        """The child whose SA carries the packets of a worker, or of all; where none is for all, any does."""
        own = [child for child, (_, place) in self.handles.items() if place == worker]
        return next(reversed(own or list(self.handles) if worker is None else own), None)


class Policies:
    """All our outbound policies."""

    def __init__(self, dataplane: DataPlane, interfaces: Interfaces) -> None:
        """None yet."""
        self._dataplane = dataplane
        self._interfaces = interfaces
        self._next_id = 1
        self._traps: dict[Target, _Policy] = {}
        self._negotiated: dict[_Key, _Policy] = {}
        self._members: dict[int, _Key] = {}
        self._by_id: dict[int, _Policy] = {}

    def _make(self, target: Target, local: Selectors, remote: Selectors, *, trap: bool) -> _Policy:
        interface = self._interfaces.of(target)
        policy = _Policy(self._next_id, target, local, remote, interface)
        self._next_id += 1
        order = priority(local, remote, trap=trap)
        self._dataplane.add_policy(policy.id, as_tuples(local), as_tuples(remote), priority=order, interface=interface)
        self._by_id[policy.id] = policy
        return policy

    def _drop(self, policy: _Policy) -> None:
        self._dataplane.remove_policy(policy.id)
        del self._by_id[policy.id]

    def trap(self, target: Target, local: Selectors, remote: Selectors) -> None:
        """Ask for a Child SA when a packet of this policy comes and no SA is there."""
        old = self._traps.get(target)
        now = (local, remote, self._interfaces.of(target))
        if old is not None and (old.local, old.remote, old.interface) == now:
            return
        self._traps[target] = self._make(target, local, remote, trap=True)
        if old is not None:
            self._drop(old)

    def untrap(self, target: Target) -> None:
        """Ask no more."""
        if policy := self._traps.pop(target, None):
            self._drop(policy)

    def traps(self) -> frozenset[Target]:
        """Which children have a trap."""
        return frozenset(self._traps)

    def join(self, child_id: int, target: Target, local: Selectors, remote: Selectors) -> None:
        """A Child SA was negotiated for these selectors; it does not send yet."""
        key = (target, local, remote, self._interfaces.of(target))
        if key not in self._negotiated:
            self._negotiated[key] = self._make(target, local, remote, trap=False)
        self._members[child_id] = key

    def use(self, child_id: int, handle: int, worker: int | None = None) -> None:
        """Send on this SA from now on; a worker's own carries what that worker has."""
        policy = self._negotiated[self._members[child_id]]
        policy.handles.pop(child_id, None)
        policy.handles[child_id] = (handle, worker)
        self._rebind(policy, worker)

    def disuse(self, child_id: int) -> None:
        """Send on this SA no more; another of the same policy takes over, else packets are held."""
        key = self._members.get(child_id)
        if key is None:
            return
        policy = self._negotiated[key]
        if (handle := policy.handles.pop(child_id, None)) is not None:
            self._rebind(policy, handle[1])

    def _rebind(self, policy: _Policy, worker: int | None) -> None:
        """Tell the data plane what changed for a worker, and for all."""
        for place in dict.fromkeys((worker, None)):
            child = policy.carrier(place)
            handle = None if child is None else policy.handles[child][0]
            if handle == policy.bound.get(place):
                continue
            policy.bound[place] = handle
            if place is None:
                self._dataplane.bind_policy(policy.id, handle)
            else:
                self._dataplane.bind_policy(policy.id, handle, worker=place)

    def policy_of(self, child_id: int) -> int | None:
        """The policy that a Child SA is of."""
        key = self._members.get(child_id)
        return None if key is None else self._negotiated[key].id

    def carrier(self, policy_id: int, worker: int | None) -> int | None:
        """The child whose SA carries the packets of a worker, or of all, of this policy."""
        policy = self._by_id.get(policy_id)
        return None if policy is None else policy.carrier(worker)

    def leave(self, child_id: int) -> None:
        """The SA is gone; its policy goes with the last one."""
        self.disuse(child_id)
        key = self._members.pop(child_id, None)
        if key is not None and key not in self._members.values():
            self._drop(self._negotiated.pop(key))

    def acquirer(self, policy_id: int) -> Target | None:
        """The child to set up for a packet of this policy; None when it is not to be set up by packets."""
        policy = self._by_id.get(policy_id)
        return policy.target if policy is not None and policy.target in self._traps else None

    def protected(self) -> list[Protected]:
        """What must be steered into the interface for all now."""
        mine = (policy for policy in self._by_id.values() if policy.interface == DEFAULT)
        return [Protected(policy.local, policy.remote, carried=True) for policy in mine]

    def steers(self, target: Target) -> bool:
        """Whether a child's packets are steered by policies; else routes choose its interface."""
        return self._interfaces.of(target) == DEFAULT

    def interfaces(self) -> set[int]:
        """Numbers of the interfaces that have policies."""
        return {policy.interface for policy in self._by_id.values()}

    def clear(self) -> None:
        """Remove all."""
        for policy in list(self._by_id.values()):
            self._drop(policy)
        self._traps.clear()
        self._negotiated.clear()
        self._members.clear()
