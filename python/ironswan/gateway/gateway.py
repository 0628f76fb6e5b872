"""Feeds the engine what arrives, sends what it wants sent, and applies its events to the data plane and the routes.

Everything here runs on the event loop; the engine and the data plane's calls do not block.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.dataplane.port import Acquire, DataPlane, IkeDatagram, InterfaceGone, Notice, SaNotice
from ironswan.gateway.addresses import endpoints
from ironswan.gateway.children import Children
from ironswan.gateway.interfaces import Interfaces
from ironswan.gateway.log import RateLimit, plain
from ironswan.gateway.mtu import fitting_mtu
from ironswan.gateway.operations import Operations
from ironswan.gateway.outbox import Outbox
from ironswan.gateway.paths import Paths
from ironswan.gateway.policies import Policies, Target
from ironswan.gateway.protection import Protection, is_static
from ironswan.gateway.upkeep import Upkeep
from ironswan.ike import events as ev
from ironswan.ike.environment import Environment
from ironswan.ike.manager import IkeManager
from ironswan.ike.types import Because, Datagram, Endpoint, IkeSaStatus, IkeState, Outcome, Packet
from ironswan.policy.connection import EndAction

if TYPE_CHECKING:
    from ironswan.gateway.netlink import Network
    from ironswan.gateway.routes import Prefix
    from ironswan.policy.connection import Configuration

TICK = 1.0
# An SPI given to the engine that was not installed by then belongs to an exchange that ended long ago.
SPI_UNUSED = 7200.0
log = logging.getLogger("ironswan.gateway")


class Gateway:
    """One engine, one data plane, one network."""

    def __init__(
        self,
        configuration: Configuration,
        dataplane: DataPlane,
        network: Network,
        *,
        mark: int = 0,
        mtu: int = 0,
        stale: tuple[Prefix, ...] = (),
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Nothing runs before `start`; `stale` are prefixes a dead gateway of this machine left protected."""
        self.configuration = configuration
        self.dataplane = dataplane
        self.network = network
        self.mark = mark
        self.mtu = mtu
        self.loop = asyncio.get_running_loop()
        admission = dataplane.admit_ike, dataplane.dismiss_ike
        environment = Environment(entropy, self._allocate_spi, self._release_spi, dataplane.workers(), *admission)
        self.manager = IkeManager(configuration, environment)
        self.interfaces = Interfaces(dataplane)
        self.policies = Policies(dataplane, self.interfaces)
        self.children = Children(dataplane, self.policies, self.interfaces)
        self.protection = Protection(network, self.policies, stale)
        self.paths = Paths(self)
        self.operations = Operations()
        self.upkeep = Upkeep(self)
        self.rejects: Counter[str] = Counter()
        self.failed: asyncio.Future[str] = self.loop.create_future()
        self.watchers: set[Callable[[ev.Event], None]] = set()
        self._limit = RateLimit()
        self._timer: asyncio.TimerHandle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._spis: dict[int, float] = {}
        self.outbox = Outbox(self, self._limit)
        self._apply: dict[type, Callable[..., None]] = {
            ev.ChildInstalled: self._child_installed,
            ev.ChildOutboundReady: lambda e: self.children.outbound_ready(e.child_id),
            ev.ChildOutboundRemoved: lambda e: self.children.outbound_removed(e.child_id),
            ev.ChildRemoved: self._child_removed,
            ev.IkeEstablished: self._ike_established,
            ev.IkeRekeyed: self._ike_rekeyed,
            ev.IkeRemoved: self._ike_removed,
            ev.EndpointChanged: self._endpoint_changed,
            ev.OperationDone: lambda e: self.operations.done(e.operation, e.outcome),
            ev.Rejected: self._rejected,
        }

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.loop.time()

    async def start(self) -> None:
        """Begin to serve: protect what is configured to be, start what is configured to start."""
        self.interfaces.configure(self.configuration, self.mtu)
        self.protection.inherit(self.configuration)
        self.upkeep.configure(self.configuration)
        self._clamp_mss()
        self.protection.changed()
        await self.protection.settled()
        self.loop.add_reader(self.dataplane.fileno(), self._readable)
        self.paths.start()
        self._tick = self.loop.call_later(TICK, self._every_second)
        self._pump()

    async def stop(self, patience: float) -> None:
        """Tell every peer goodbye, wait for their answers at most `patience` seconds, remove everything of ours."""
        self.upkeep.stop()
        self.paths.stop()
        farewell = self.operations.expect(self.manager.shutdown(self.now))
        self._pump()
        if self.manager.snapshot(self.now):
            await asyncio.wait({farewell}, timeout=patience)
        self.loop.remove_reader(self.dataplane.fileno())
        for timer in (self._timer, self._tick):
            if timer is not None:
                timer.cancel()
        await self.protection.settled()
        for entry in self.children:
            self.children.removed(entry.child.child_id)
        self.policies.clear()

    def adopt(self, new: Configuration) -> None:
        """Go on with another configuration; its interfaces have been made."""
        old, self.configuration = self.configuration, new
        self.manager.set_configuration(new, self.now)
        self.upkeep.configure(new, old)
        self._pump()

    async def fit_mtu(self) -> None:
        """Bring our interfaces' MTU in step with the suites that are configured now, and with the links."""
        try:
            own = self.interfaces.names()
            mtu = fitting_mtu(self.configuration, await self.network.outer_mtu(self.dataplane.interface()[1], own))
            if mtu != self.mtu:
                await self.network.set_mtu(mtu, own)
                log.info("the MTU is %d now, it was %d", mtu, self.mtu)
                self.mtu = mtu
        except Exception as error:  # whatever netlink says: the configuration is in force all the same  # noqa: BLE001
            log.error("the MTU stays %d: %s", self.mtu, error)
        self._clamp_mss()

    def tidy_interfaces(self) -> None:
        """Remove interfaces that nothing is configured for any more, once nothing uses them."""
        self.interfaces.tidy(self.policies.interfaces() | {entry.interface for entry in self.children})

    def _clamp_mss(self) -> None:
        self.dataplane.clamp_mss(self.mtu if self.configuration.settings.mss_clamp else 0)

    def command(self, start: Callable[[float], int]) -> asyncio.Future[Outcome]:
        """Give the engine a command; the future of its outcome."""
        future = self.operations.expect(start(self.now))
        self._pump()
        return future

    async def bring_up(self, target: Target, packet: Packet | None = None) -> asyncio.Future[Outcome]:
        """Begin to set a child up, or join the attempt under way. Raises CommandError when it cannot even begin."""
        name, child = target
        connection = self.configuration.connection(name)
        policy = connection.child(child) if connection else None
        if policy is not None and (reason := await self.protection.refusal(target, policy)):
            raise CommandError(ExitCode.PERMISSION, f"{name}/{child} stays down: {reason}")
        local, remote = await self.endpoints(name)
        return self.command(lambda now: self.manager.initiate(name, child, now, local, remote, packet))

    async def endpoints(self, name: str) -> tuple[Endpoint, Endpoint]:
        """Where a connection's IKE SA runs, or would. Raises CommandError when that cannot be found out."""
        for sa in self.snapshot():
            if sa.connection == name and sa.state == IkeState.ESTABLISHED.value:
                return sa.local, sa.remote
        connection = self.configuration.connection(name)
        if connection is None:
            raise CommandError(ExitCode.NO_SUCH_OBJECT, f"{name} is not configured any more")
        own = await self.network.addresses()
        return await endpoints(connection, self.configuration.settings, own, self.mark)

    def snapshot(self) -> tuple[IkeSaStatus, ...]:
        """All IKE SAs now."""
        return tuple(self.manager.snapshot(self.now))

    def _allocate_spi(self, worker: int | None = None, /) -> int:
        spi = self.dataplane.allocate_spi(worker)
        self._spis[spi] = self.now
        return spi

    def _release_spi(self, spi: int) -> None:
        if self._spis.pop(spi, None) is not None:
            self.dataplane.release_spi(spi)

    def _readable(self) -> None:
        for item in self.dataplane.drain():
            try:
                self._take(item)
            except Exception:  # a fault with one must not lose the others
                self.rejects[Because.INTERNAL] += 1
                if (more := self._limit.admit(Because.INTERNAL, self.now)) is not None:
                    log.exception("a fault of ours while handling a message%s", more)
        self._pump()

    def _take(self, item: Notice) -> None:
        if isinstance(item, IkeDatagram):
            local = Endpoint.parse(item.local_addr, item.local_port)
            remote = Endpoint.parse(item.remote_addr, item.remote_port)
            self.manager.receive(Datagram(local, remote, item.data), self.now)
        elif isinstance(item, Acquire):
            self._acquire(item)
        elif isinstance(item, InterfaceGone):
            log.error(
                "the interface %s is gone, somebody deleted it: its tunnels carry nothing until it is taken out of the "
                "configuration and put back, each with a reload, or the gateway is restarted",
                item.name,
            )
        else:
            self._notice(item)

    def _acquire(self, item: Acquire) -> None:
        if item.worker is not None:
            self._acquire_own(item.policy_id, item.worker)
            return
        target = self.policies.acquirer(item.policy_id)
        if target is not None:
            packet = Packet(ip_address(item.src), ip_address(item.dst), item.protocol, item.sport, item.dport)
            self.upkeep.acquire(target, packet)

    def _acquire_own(self, policy_id: int, worker: int) -> None:
        child = self.policies.carrier(policy_id, None)
        if child is None or self.policies.carrier(policy_id, worker) is not None:
            return
        asked = self.command(lambda now: self.manager.add_own(child, worker, now))
        asked.add_done_callback(lambda done: self.children.own.answered(policy_id, worker, done.result()))

    def _notice(self, item: SaNotice) -> None:
        if item.kind == "first_packet":
            self.manager.inbound_traffic(item.spi, self.now)
        elif item.kind == "peer_moved":
            if item.remote_addr:
                self.manager.peer_moved(item.spi, Endpoint.parse(item.remote_addr, item.remote_port), self.now)
        elif item.kind == "worker_failed":
            if not self.failed.done():
                self.failed.set_result(f"the data plane has stopped: {self.dataplane.failure()}")
        else:
            self.manager.volume_expired(item.spi, item.kind.startswith("hard"), self.now)

    def _every_second(self) -> None:
        self._tick = self.loop.call_later(TICK, self._every_second)
        for spi in self.children.heard():
            self.manager.inbound_traffic(spi, self.now)
        self.paths.tick(self.now)
        for spi, since in list(self._spis.items()):
            if self.now - since > SPI_UNUSED:
                del self._spis[spi]
                self.dataplane.release_spi(spi)
        self._pump()

    def _timers_due(self) -> None:
        self._timer = None
        self.manager.handle_timers(self.now)
        self._pump()

    def _pump(self) -> None:
        """Events first: the peer may use an SA as soon as it has our message."""
        while batch := self.manager.take_events():
            for event in batch:
                self._apply[type(event)](event)
                for watcher in tuple(self.watchers):
                    watcher(event)
        self.outbox.post(self.manager.take_datagrams())
        deadline = self.manager.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self.loop.call_at(deadline, self._timers_due)

    def _child_installed(self, event: ev.ChildInstalled) -> None:
        child = event.child
        self._spis.pop(child.inbound_spi, None)
        try:
            self.children.install(child, event.outbound)
        except (ValueError, OSError) as error:
            log.error("the data plane does not take the SA of %s/%s: %s", child.connection, child.name, error)
            self.manager.delete_child(child.child_id, self.now)
            return
        target = (child.connection, child.name)
        self.outbox.refused.pop(target, None)
        configured = self.configuration.connection(child.connection)
        policy = configured.child(child.name) if configured else None
        if policy is not None and is_static(policy):
            self.protection.hold(target, child.ts_local, child.ts_remote)
        self.protection.changed()
        self.paths.installed(child.child_id, self.now)
        if child.replaces is None:
            ours, theirs = (", ".join(map(str, ts)) for ts in (child.ts_local, child.ts_remote))
            self.upkeep.arrived(target)
            log.info("%s/%s is up: %s === %s, %s, %s mode", *target, ours, theirs, child.suite, child.mode.value)
            if child.mode is not child.policy.mode:
                log.warning("%s/%s is not in %s mode as configured: it was not agreed on", *target, child.policy.mode)
        else:
            log.info("%s/%s was rekeyed", *target)

    def _child_removed(self, event: ev.ChildRemoved) -> None:
        # After a rekey the old SA still receives for a while: it is not what its child lives by.
        was_left_over = self.children.is_left_over(event.child_id)
        entry = self.children.removed(event.child_id)
        self.protection.changed()
        self.tidy_interfaces()
        target = (event.connection, event.name)
        if entry is None or was_left_over or self.children.serves(target):
            return
        log.info("%s/%s is down: %s", *target, plain(event.reason))
        self.upkeep.ended(target, event.end_action)

    def _endpoint_changed(self, event: ev.EndpointChanged) -> None:
        self.children.moved(event.ike_id, event.local, event.remote)
        self.paths.moved(event.ike_id, self.now)

    def _ike_established(self, event: ev.IkeEstablished) -> None:
        who = f"{plain(event.local_id)} and {plain(event.remote_id)}"
        log.info("%s: %s at %s authenticated, %s", event.connection, who, event.remote, event.suite)

    def _ike_rekeyed(self, event: ev.IkeRekeyed) -> None:
        self.children.inherited(event.old, event.new)
        log.info("IKE SA %d was rekeyed: it is %d now", event.old, event.new)

    def _ike_removed(self, event: ev.IkeRemoved) -> None:
        log.info("%s: the IKE SA is gone: %s", event.connection, plain(event.reason))
        for child, action in event.end_action_children:
            if action is not EndAction.NONE and not any(e.target == (event.connection, child) for e in self.children):
                self.upkeep.ended((event.connection, child), action)

    def _rejected(self, event: ev.Rejected) -> None:
        because = str(event.reject.because)
        self.rejects[because] += 1
        if (more := self._limit.admit(because, self.now)) is not None:
            log.warning("refused what %s sent (%s): %s%s", event.remote, because, plain(event.reject.detail), more)
