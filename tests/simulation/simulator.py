"""Two endpoints, a network with faults, a virtual clock, and a data plane that checks that no packet is lost.

Everything is drawn from one seed. The model: at every moment, what a side sends on its current outbound SA must
find an installed inbound SA at the other side, now and for as long as the packet may be in flight.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from ipaddress import ip_address

from ironswan.ike import events as ev
from ironswan.ike.environment import Environment
from ironswan.ike.manager import IkeManager
from ironswan.ike.types import Datagram, Endpoint, Outcome
from ironswan.policy.connection import Configuration

MAX_FLIGHT = 0.5


def endpoint(address: str, port: int = 500) -> Endpoint:
    return Endpoint(ip_address(address), port)


def use(child: ev.ChildSa) -> str:
    """What an SA is for: all of a child's packets, or those of one worker."""
    return child.name if child.worker is None else f"{child.name}/{child.worker}"


@dataclass
class DataPlane:
    """What one side's data plane has installed; `current` is the SA its policy sends on, by child name (`use`)."""

    inbound: dict[int, ev.ChildSa] = field(default_factory=dict)
    outbound: dict[int, ev.ChildSa] = field(default_factory=dict)
    current: dict[str, int] = field(default_factory=dict)
    known: dict[int, ev.ChildSa] = field(default_factory=dict)
    outages: list[str] = field(default_factory=list)
    installed: int = 0

    def apply(self, event: ev.Event) -> None:
        if isinstance(event, ev.ChildInstalled):
            self.installed += 1
            child = event.child
            assert child.inbound_spi not in self.inbound
            self.inbound[child.inbound_spi] = child
            self.known[child.child_id] = child
            if event.outbound:
                self.outbound[child.child_id] = child
                self.current[use(child)] = child.child_id
        elif isinstance(event, ev.ChildOutboundReady):
            child = self.known[event.child_id]
            self.outbound[child.child_id] = child
            self.current[use(child)] = child.child_id
        elif isinstance(event, ev.ChildOutboundRemoved):
            self._stop(event.child_id)
        elif isinstance(event, ev.ChildRemoved):
            self._stop(event.child_id)
            self.inbound.pop(self.known.pop(event.child_id).inbound_spi)

    def _stop(self, child_id: int) -> None:
        child = self.outbound.pop(child_id, None)
        if child is not None and self.current.get(use(child)) == child_id:
            del self.current[use(child)]
            self.outages.append(child.name)


class Host:
    """One endpoint: engine, data plane, everything that happened."""

    def __init__(self, name: str, address: str, configuration: Configuration, seed: int, workers: int = 1) -> None:
        self.name = name
        self.endpoint = endpoint(address)
        self.random = random.Random(f"{seed}/{name}")
        self.spis = 0x1000 if name == "moon" else 0x9000
        self.released: list[int] = []
        self.asked: list[int | None] = []
        self.bias: list[int] = []
        self.admitted: set[bytes] = set()
        admission = self.admitted.add, self.admitted.discard
        environment = Environment(self._entropy, self._allocate, self.released.append, workers, *admission)
        self.engine = IkeManager(configuration, environment)
        self.plane = DataPlane()
        self.events: list[ev.Event] = []
        self.peer: Host | None = None

    def _entropy(self, count: int) -> bytes:
        """Seeded octets; a test may choose the first octet of the next nonces (and keys) with `bias`."""
        drawn = self.random.randbytes(count)
        return bytes([self.bias.pop(0)]) + drawn[1:] if count == 32 and self.bias else drawn

    def _allocate(self, worker: int | None = None, /) -> int:
        self.spis += 1
        self.asked.append(worker)
        return self.spis

    def of(self, kind: type) -> list:
        return [e for e in self.events if isinstance(e, kind)]

    def outcome(self, operation: int) -> Outcome | None:
        return next((e.outcome for e in self.of(ev.OperationDone) if e.operation == operation), None)

    def child(self, name: str = "net") -> int:
        """The number of the one installed child of that name."""
        [found] = [
            c.id for sa in self.engine.snapshot(0) for c in sa.children if c.name == name and c.state != "deleted"
        ]
        return found

    def ike(self) -> int:
        """The number of the one established IKE SA."""
        [found] = [sa.id for sa in self.engine.snapshot(0) if sa.state == "established"]
        return found

    def reasons(self) -> list[str]:
        return [e.reject.because.value for e in self.of(ev.Rejected)]


Fate = Callable[["Network", Host, Datagram], list[float]]


class Network:
    """Carries datagrams between hosts after a delay; `fate` decides how often and when each arrives."""

    def __init__(self, moon: Host, sun: Host, seed: int, delay: float = 0.05) -> None:
        self.hosts = (moon, sun)
        moon.peer, sun.peer = sun, moon
        self.moon, self.sun = moon, sun
        self.random = random.Random(f"{seed}/network")
        self.delay = delay
        self.now = 1000.0
        self.in_flight: list[tuple[float, int, Host, Datagram]] = []
        self.sent: list[tuple[float, Host, Datagram]] = []
        self.fate: Fate | None = None
        self.held: dict[str, Held] = {}
        self.traffic = False
        self.esp: list[tuple[float, int, Host, int]] = []
        self.lost: list[str] = []
        self._order = 0
        self._last_sent: dict[int, float] = {}

    def turn(self, host: Host) -> None:
        """Collect what an engine produced: events first, then datagrams."""
        for event in host.engine.take_events():
            host.events.append(event)
            host.plane.apply(event)
        for datagram in host.engine.take_datagrams():
            self._send(host, datagram)
        self._send_esp()

    def _send(self, host: Host, datagram: Datagram) -> None:
        assert host.peer is not None
        self.sent.append((self.now, host, datagram))
        if host.name in self.held:
            self.held[host.name].queue.append(datagram)
            return
        delays = [self.delay] if self.fate is None else self.fate(self, host, datagram)
        for delay in delays:
            self._order += 1
            arriving = Datagram(datagram.remote, datagram.local, datagram.data)
            heappush(self.in_flight, (self.now + delay, self._order, host.peer, arriving))

    def _send_esp(self) -> None:
        """Each side that has an outbound SA sends one packet now; it arrives after the network's delay, and once late.

        Called before and after everything that can change what is installed, so it stands for packets at every moment.
        """
        if not self.traffic:
            return
        for host in self.hosts:
            for child_id in host.plane.current.values():
                spi = host.plane.outbound[child_id].outbound_spi
                if self._last_sent.get(spi) == self.now:
                    continue
                self._last_sent[spi] = self.now
                for delay in (self.delay, MAX_FLIGHT):
                    self._order += 1
                    assert host.peer is not None
                    heappush(self.esp, (self.now + delay, self._order, host.peer, spi))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; stop early when `until` holds."""
        end = self.now + seconds
        for host in self.hosts:
            self.turn(host)
        while not (until and until()):
            when = self._next()
            if when is None or when > end:
                self.now = end
                return until() if until else True
            self.now = max(self.now, when)
            self._step()
        return True

    def _next(self) -> float | None:
        times = [h.engine.next_deadline() for h in self.hosts]
        times += [self.in_flight[0][0] if self.in_flight else None, self.esp[0][0] if self.esp else None]
        return min((t for t in times if t is not None), default=None)

    def _step(self) -> None:
        if self.esp and self.esp[0][0] <= self.now:
            _, _, host, spi = heappop(self.esp)
            self._deliver_esp(host, spi)
        elif self.in_flight and self.in_flight[0][0] <= self.now:
            self._send_esp()
            _, _, host, datagram = heappop(self.in_flight)
            host.engine.receive(datagram, self.now)
            self.turn(host)
        else:
            self._send_esp()
            for host in self.hosts:
                host.engine.handle_timers(self.now)
                self.turn(host)

    def _deliver_esp(self, host: Host, spi: int) -> None:
        if spi not in host.plane.inbound:
            self.lost.append(f"{self.now}: packet for SPI {spi:x} at {host.name}")
            return
        host.engine.inbound_traffic(spi, self.now)
        events = host.engine.take_events()
        for event in events:
            host.events.append(event)
            host.plane.apply(event)
        if events:
            self._send_esp()

    def initiate(
        self, host: Host, connection: str = "gw", child: str | None = "net", packet: tuple | None = None
    ) -> int:
        assert host.peer is not None
        return host.engine.initiate(connection, child, self.now, host.endpoint, host.peer.endpoint, packet)

    def hold(self, host: Host) -> Held:
        """Take everything a host sends out of the network until it is let go: for exact orders of arrival."""
        return Held(self, host)

    def settled(self) -> None:
        """After a rekey and its delays: exactly one SA of everything on both sides, and nothing was lost on the way."""
        self.consistent()
        for host in self.hosts:
            assert len(host.plane.known) == len(host.plane.outbound) == len(host.plane.current) == 1
            assert not host.plane.outages, "sending stopped although the child was only rekeyed"
            alive = host.engine.snapshot(self.now)
            assert [sa.state for sa in alive] == ["established"], [sa.state for sa in alive]
            assert [c.state for c in alive[0].children] == ["installed"]

    def consistent(self) -> None:
        """Both sides agree: the same Child SAs, mirrored, and each side sends on one the other receives on."""
        for host in self.hosts:
            assert host.peer is not None
            assert not self.lost, self.lost[:3]
            for child_id in host.plane.current.values():
                assert host.plane.outbound[child_id].outbound_spi in host.peer.plane.inbound
            for child in host.plane.known.values():
                mirrored = [c for c in host.peer.plane.known.values() if c.inbound_spi == child.outbound_spi]
                assert len(mirrored) == 1, f"{host.name} has a Child SA its peer does not have"
                assert mirrored[0].outbound_spi == child.inbound_spi
                assert mirrored[0].keymat_in == child.keymat_out
                assert mirrored[0].keymat_out == child.keymat_in
                assert mirrored[0].ts_local == child.ts_remote


class Held:
    """Datagrams of one host, kept back in the order sent."""

    def __init__(self, network: Network, host: Host) -> None:
        self.network, self.host = network, host
        self.queue: list[Datagram] = []
        network.held[host.name] = self

    def deliver(self, index: int = 0) -> None:
        """Let one of them arrive now."""
        self.arrive(self.queue.pop(index))

    def arrive(self, datagram: Datagram) -> None:
        """Let a datagram arrive now, kept or taken aside before."""
        assert self.host.peer is not None
        self.host.peer.engine.receive(Datagram(datagram.remote, datagram.local, datagram.data), self.network.now)
        self.network.turn(self.host.peer)

    def drop(self, index: int = 0) -> None:
        self.queue.pop(index)

    def release(self) -> None:
        """Deliver the rest in order and keep nothing back any more."""
        self.network.held.pop(self.host.name, None)
        while self.queue:
            self.deliver()
