"""The engine's front: datagrams, commands and time in; datagrams, events and the next deadline out.

The caller acts on events before it sends the datagrams of the same turn: an inbound SA is installed before the peer
learns of it. Nothing here raises on what a peer sent.
"""

from __future__ import annotations

from ironswan.ike import delete, exchange, expiry, nat, resources, status
from ironswan.ike.child_rekey import ChildRekeyTask
from ironswan.ike.children import Child, start_outbound
from ironswan.ike.context import Context
from ironswan.ike.cookies import CookieJar
from ironswan.ike.environment import Environment
from ironswan.ike.events import Event
from ironswan.ike.ike_rekey import IkeRekeyTask
from ironswan.ike.initiation import initiate
from ironswan.ike.receive import receive
from ironswan.ike.session import IkeSa
from ironswan.ike.types import ChildState, Datagram, Endpoint, IkeSaStatus, IkeState, Outcome, Packet
from ironswan.policy.connection import Configuration

KEEPALIVE = b"\xff"


class IkeManager:
    """A sans-IO IKEv2 endpoint, initiator and responder. `now` is monotonic seconds throughout."""

    def __init__(self, configuration: Configuration, environment: Environment) -> None:
        """An engine without IKE SAs."""
        self._context = Context(configuration, environment)
        self._cookies = CookieJar(environment)

    def set_configuration(self, configuration: Configuration, now: float) -> None:  # noqa: ARG002
        """New IKE SAs use this one; existing ones keep the policy they were made from."""
        self._context.configuration = configuration

    def receive(self, datagram: Datagram, now: float) -> None:
        """Take a datagram, without its non-ESP marker. A keepalive is never liveness (RFC 3948 4)."""
        if datagram.data != KEEPALIVE:
            receive(self._context, self._cookies, datagram, now)

    def handle_timers(self, now: float) -> None:
        """Act on every deadline that has come."""
        due = self._context.timers.pop_due(now)
        while due is not None:
            expiry.expire(self._context, *due, now)
            due = self._context.timers.pop_due(now)

    def next_deadline(self) -> float | None:
        """When `handle_timers` is to be called next; None: nothing waits."""
        return self._context.timers.next_deadline()

    def initiate(
        self,
        connection_name: str,
        child_name: str | None,
        now: float,
        local: Endpoint,
        remote: Endpoint,
        packet: Packet | tuple[object, ...] | None = None,
    ) -> int:
        """Set up a child (None: all of the connection's), reusing an IKE SA; the operation's number."""
        asking = None if packet is None else Packet(*packet)  # type: ignore[arg-type]
        return initiate(self._context, connection_name, child_name, (local, remote), asking, now)

    def rekey_child(self, child_id: int, now: float) -> int:
        """Replace a Child SA now."""
        operation, found = self._context.operations.begin(), self._child(child_id)
        if found is None or found[1].state is not ChildState.INSTALLED:
            self._not_there(operation, f"no child {child_id} that can be rekeyed")
        else:
            exchange.enqueue(found[0], ChildRekeyTask(found[1], operation), now)
        return operation

    def rekey_ike(self, ike_id: int, now: float) -> int:
        """Replace an IKE SA now; its children stay."""
        operation, sa = self._context.operations.begin(), self._context.sa_by_id(ike_id)
        if sa is None or sa.state is not IkeState.ESTABLISHED:
            self._not_there(operation, f"no IKE SA {ike_id} that can be rekeyed")
        else:
            exchange.enqueue(sa, IkeRekeyTask(operation), now)
        return operation

    def add_own(self, child_id: int, worker: int, now: float) -> int:
        """Set up one more Child SA beside one that serves all, for a worker alone (RFC 9611)."""
        operation, found = self._context.operations.begin(), self._child(child_id)
        if found is None:
            self._not_there(operation, f"no child {child_id}")
        else:
            resources.add(*found, worker, operation, now)
        return operation

    def delete_child(self, child_id: int, now: float) -> int:
        """Delete a Child SA on both sides, and what a rekey that is under way makes of it."""
        operation, found = self._context.operations.begin(), self._child(child_id)
        if found is None:
            self._not_there(operation, f"no child {child_id}")
        else:
            delete.delete_unwanted(*found, operation, now)
        return operation

    def delete_ike(self, ike_id: int, now: float) -> int:
        """Delete an IKE SA and its children on both sides."""
        operation, sa = self._context.operations.begin(), self._context.sa_by_id(ike_id)
        if sa is None or sa.state is IkeState.CLOSED:
            self._not_there(operation, f"no IKE SA {ike_id}")
        else:
            delete.delete_ike(sa, "deleted", operation, now)
        return operation

    def shutdown(self, now: float) -> int:
        """Delete every IKE SA; the operation ends when all peers answered or were given up."""
        gone = (IkeState.CLOSED, IkeState.REKEYED, IkeState.REDUNDANT)
        alive = [sa for sa in self._context.sas.values() if sa.state not in gone]
        operation = self._context.operations.begin(max(1, len(alive)))
        if not alive:
            self._context.operations.finish(operation, Outcome("deleted", "there was no IKE SA"))
        for sa in alive:
            delete.delete_ike(sa, "shut down", operation, now)
        return operation

    def inbound_traffic(self, inbound_spi: int, now: float) -> None:
        """An ESP packet was authenticated on this SA: the peer is alive, and sends on it (RFC 7296 2.8)."""
        sa, child = self._context.children.get(inbound_spi, (None, None))
        if sa is None or child is None:
            return
        sa.last_heard = max(sa.last_heard, now)
        if child.waiting and child.state in (ChildState.INSTALLED, ChildState.REKEYING):
            start_outbound(sa, child)

    def volume_expired(self, spi: int, hard: bool, now: float) -> None:
        """A limit of octets or packets was reached on an SA, named by either SPI."""
        found = self._by_either_spi(spi)
        if found is None:
            return
        sa, child = found
        if hard:
            expiry.child_hard(sa, child.inbound_spi, now)
        else:
            expiry.child_soft(sa, child.inbound_spi, now)

    def peer_moved(self, inbound_spi: int, remote: Endpoint, now: float) -> None:
        """A fresh authenticated ESP packet came from another address: follow a peer behind NAT."""
        sa, child = self._context.children.get(inbound_spi, (None, None))
        # SAs of single workers may each come from a port of their own, to which nothing is to be sent.
        if sa is not None and child is not None and child.worker is None:
            nat.follow(sa, sa.local, remote, now)

    def take_datagrams(self) -> list[Datagram]:
        """What is to be sent, in order; to be sent after the events are acted on."""
        taken = list(self._context.datagrams)
        self._context.datagrams.clear()
        return taken

    def take_events(self) -> list[Event]:
        """What happened, in order."""
        taken = list(self._context.events)
        self._context.events.clear()
        return taken

    def snapshot(self, now: float) -> tuple[IkeSaStatus, ...]:
        """Every IKE SA and its children."""
        return status.snapshot(self._context, now)

    def _child(self, child_id: int) -> tuple[IkeSa, Child] | None:
        return next(((sa, c) for sa, c in self._context.children.values() if c.id == child_id and c.alive), None)

    def _by_either_spi(self, spi: int) -> tuple[IkeSa, Child] | None:
        found = self._context.children.get(spi)
        if found is not None:
            return found
        return next(((sa, c) for sa, c in self._context.children.values() if c.outbound_spi == spi and c.alive), None)

    def _not_there(self, operation: int, text: str) -> None:
        self._context.operations.finish(operation, Outcome("local_refused", text))
