"""Keeps children as the configuration wants them: starts, traps, restarts with growing pauses. One task for each."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, NamedTuple

from ironswan.control.protocol import CommandError
from ironswan.gateway.addresses import host_to_initiate
from ironswan.gateway.log import plain
from ironswan.gateway.protection import resolved
from ironswan.ike.types import IkeState
from ironswan.policy.connection import EndAction, StartAction

if TYPE_CHECKING:
    from ironswan.gateway.gateway import Gateway
    from ironswan.gateway.policies import Selectors, Target
    from ironswan.ike.types import Packet
    from ironswan.policy.connection import ChildPolicy, Configuration

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0
_STARTS = (StartAction.START, StartAction.TRAP_START)
_TRAPS = (StartAction.TRAP, StartAction.TRAP_START)
Tasks = dict["Target", "asyncio.Task[None]"]
log = logging.getLogger("ironswan.gateway")


def pauses() -> list[float]:
    """Seconds between attempts: doubling, and from the last on always the longest."""
    found = [FIRST_PAUSE]
    while found[-1] < LONGEST_PAUSE:
        found.append(min(2 * found[-1], LONGEST_PAUSE))
    return found


class Upkeep:
    """What shall be up, and the attempts to bring it there."""

    def __init__(self, gateway: Gateway) -> None:
        """Nothing wanted yet."""
        self._gateway = gateway
        self._starting: Tasks = {}
        self._trapping: Tasks = {}
        self._acquiring: Tasks = {}
        self._stopped = False

    def configure(self, new: Configuration, old: Configuration | None = None) -> None:
        """Trap, start and hold what `new` says and `old` did not; end what it no longer says."""
        before = {} if old is None else _children(old)
        after = _children(new)
        for target in before.keys() - after.keys():
            self.forget(target)
        changed = {
            target: child
            for target, child in after.items()
            if before.get(target) != child or self._connection_changed(target[0], old, new)
        }
        interrupted = self._interrupt(changed)
        for target, child in changed.items():
            was = before.get(target)
            if was is not None and was.start_action is not StartAction.NONE:
                self._withdraw(target, child)
            if child.start_action is not StartAction.NONE:
                self._hold_configured(target, child)
            if child.start_action in _TRAPS or (target in interrupted.trapping and EndAction.TRAP in _ends(child)):
                self._set_trap(target, child)
            is_new = child.start_action in _STARTS and (was is None or was.start_action not in _STARTS)
            if is_new or (target in interrupted.starting and _is_to_be_up(child)):
                self.want(target)

    def _interrupt(self, changed: Iterable[Target]) -> _Interrupted:
        """End attempts for what has changed: they go to where the peer was thought to be."""
        changed = frozenset(changed)
        starting, trapping, acquiring = (
            frozenset(target for target in changed if _cancel(tasks, target))
            for tasks in (self._starting, self._trapping, self._acquiring)
        )
        for target in starting | acquiring:
            self._drop_unanswered(target)
        return _Interrupted(starting, trapping)

    @staticmethod
    def _connection_changed(name: str, old: Configuration | None, new: Configuration) -> bool:
        return old is None or old.connection(name) != new.connection(name)

    def _hold_configured(self, target: Target, child: ChildPolicy) -> None:
        """Static selectors are held at once; dynamic ones when the addresses are known, with the trap or the SA."""
        remote = resolved(child.remote_ts, None)
        if remote is not None:
            self._gateway.protection.hold(target, resolved(child.local_ts, None) or (), remote)

    def _withdraw(self, target: Target, child: ChildPolicy) -> None:
        """What an earlier configuration trapped and held is no longer so; what its SA carries stays carried."""
        if child.start_action not in _TRAPS:
            self._gateway.policies.untrap(target)
        self._gateway.protection.release(target)

    def want(self, target: Target) -> None:
        """Bring the child up and try until it is."""
        self._begin(self._starting, target, self._keep_trying(target))

    def ended(self, target: Target, action: EndAction) -> None:
        """A child was lost: do what its policy asks for."""
        child = _children(self._gateway.configuration).get(target)
        if self._stopped or child is None:
            return
        if action is EndAction.START:
            self.want(target)
        elif action is EndAction.TRAP and target not in self._gateway.policies.traps():
            self._set_trap(target, child)

    def arrived(self, target: Target) -> None:
        """The child is up, perhaps by the peer: an attempt of ours that nobody answered yet would only double it."""
        if _cancel(self._starting, target):
            self._drop_unanswered(target)

    def unprotected(self, target: Target) -> None:
        """The child was ended because it could not be protected: if it is to be up, try again after a long while."""
        child = _children(self._gateway.configuration).get(target)
        if child is not None and _is_to_be_up(child):
            self._begin(self._starting, target, self._keep_trying(target, after=LONGEST_PAUSE))

    def _drop_unanswered(self, target: Target) -> None:
        """End attempts of a child's connection that the peer has not answered, unless others wait for them."""
        connection, gateway = target[0], self._gateway
        if any(other[0] == connection and other != target for other in self.trying()):
            return
        for sa in gateway.snapshot():
            if sa.connection == connection and sa.state == IkeState.INIT_SENT.value:
                gateway.manager.delete_ike(sa.id, gateway.now)

    def forget(self, target: Target, *, keep_configured_trap: bool = False) -> None:
        """The operator wants it down: no more attempts, no trap that was not configured, no refusal of its packets."""
        for tasks in (self._starting, self._trapping):
            _cancel(tasks, target)
        child = _children(self._gateway.configuration).get(target)
        if keep_configured_trap and child is not None and child.start_action in _TRAPS:
            return
        self._gateway.policies.untrap(target)
        self._gateway.protection.release(target)

    def acquire(self, target: Target, packet: Packet) -> None:
        """A packet asks for this child."""
        self._begin(self._acquiring, target, self._bring_up_for(target, packet))

    def trying(self) -> frozenset[Target]:
        """Children an attempt or a pause before one is under way for."""
        return _alive(self._starting)

    def trapping(self) -> frozenset[Target]:
        """Children whose trap waits until their addresses are known."""
        return _alive(self._trapping)

    def stop(self) -> None:
        """No more attempts."""
        self._stopped = True
        for task in (*self._starting.values(), *self._trapping.values(), *self._acquiring.values()):
            task.cancel()

    def _begin(self, tasks: Tasks, target: Target, work: Coroutine[None, None, None]) -> None:
        """Do `work` for a child, unless that is being done already."""
        running = tasks.get(target)
        if self._stopped or (running is not None and not running.done()):
            work.close()
            return
        tasks[target] = asyncio.get_running_loop().create_task(work)

    async def _bring_up_for(self, target: Target, packet: Packet) -> None:
        try:
            outcome = await asyncio.shield(await self._gateway.bring_up(target, packet))
        except CommandError as error:
            log.warning("%s/%s is wanted by a packet: %s", *target, error.message)
            return
        if not outcome.ok:
            log.warning("%s/%s is wanted by a packet: %s", *target, plain(outcome.message))

    async def _keep_trying(self, target: Target, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        pause = iter(pauses())
        while True:
            try:
                outcome = await asyncio.shield(await self._gateway.bring_up(target))
                if outcome.ok:
                    return
                reason = plain(outcome.message)
            except CommandError as error:
                reason = error.message
            # Jitter, so that two sides or a hundred children do not come at once.
            seconds = next(pause, LONGEST_PAUSE) * (1 + os.urandom(1)[0] / 1024)
            log.warning("%s/%s: %s; next attempt in %.0f s", *target, reason, seconds)
            await asyncio.sleep(seconds)

    def _set_trap(self, target: Target, child: ChildPolicy) -> None:
        """At once where the configuration alone says for what, else when the addresses are known."""
        local, remote = resolved(child.local_ts, None), resolved(child.remote_ts, None)
        if local is not None and remote is not None:
            self._trap(target, local, remote)
        else:
            self._begin(self._trapping, target, self._trap_when_known(target))

    def _trap(self, target: Target, local: Selectors, remote: Selectors) -> None:
        self._gateway.policies.trap(target, local, remote)
        self._gateway.protection.hold(target, local, remote)

    async def _trap_when_known(self, target: Target) -> None:
        pause = iter(pauses())
        while (child := _children(self._gateway.configuration).get(target)) is not None:
            try:
                ends = await self._gateway.endpoints(target[0])
            except CommandError as error:
                seconds = next(pause, LONGEST_PAUSE)
                log.warning("%s/%s cannot be trapped yet: %s; next attempt in %.0f s", *target, error.message, seconds)
                await asyncio.sleep(seconds)
                continue
            own, peer = (end.address for end in ends)
            self._trap(target, resolved(child.local_ts, own) or (), resolved(child.remote_ts, peer) or ())
            return


class _Interrupted(NamedTuple):
    """Children whose attempts were ended."""

    starting: frozenset[Target]
    trapping: frozenset[Target]


def _alive(tasks: Tasks) -> frozenset[Target]:
    return frozenset(target for target, task in tasks.items() if not task.done())


def _cancel(tasks: Tasks, target: Target) -> bool:
    """End a task; whether there was one that had not ended."""
    task = tasks.pop(target, None)
    return task is not None and task.cancel()


def _ends(child: ChildPolicy) -> tuple[EndAction, EndAction]:
    return child.close_action, child.dpd_action


def _is_to_be_up(child: ChildPolicy) -> bool:
    return child.start_action in _STARTS or EndAction.START in _ends(child)


def _children(configuration: Configuration) -> dict[Target, ChildPolicy]:
    return {(c.name, k.name): k for c in configuration.connections for k in c.children}


def unstartable(configuration: Configuration) -> list[Target]:
    """Children with a start action whose connection names no peer to go to."""
    lost = (c for c in configuration.connections if host_to_initiate(c) is None)
    return [(c.name, k.name) for c in lost for k in c.children if k.start_action is not StartAction.NONE]
