"""One IKE SA: identity, keys, windows, queue of exchanges, timers. Knows how to send, not what exchanges mean."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ironswan.ike.fragmentation import Reassembly
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import Because, Endpoint, IkeState, Outcome
from ironswan.ike.window import RequestWindow, ResponseWindow

if TYPE_CHECKING:
    from ironswan.crypto.keys import IkeKeys, IkeSuite
    from ironswan.ike.children import Child
    from ironswan.ike.context import Context
    from ironswan.ike.task import Task
    from ironswan.ike.timers import TimerKey
    from ironswan.policy.connection import Connection
    from ironswan.policy.identity import Identity
    from ironswan.policy.proposals import Mismatch
    from ironswan.policy.selectors import Address
    from ironswan.policy.transforms import Proposal

RETRANSMIT_JITTER = 0.1


class IkeSa:
    """State of one IKE SA. `initiator` is the original-initiator role of RFC 7296 3.1, new for every rekeyed IKE SA."""

    def __init__(
        self,
        context: Context,
        connection: Connection,
        *,
        initiator: bool,
        spi_i: bytes,
        spi_r: bytes,
        local: Endpoint,
        remote: Endpoint,
        now: float,
    ) -> None:
        """A new IKE SA, findable by its own SPI at once."""
        self.context = context
        self.connection = connection
        self.initiator = initiator
        self.spi_i = spi_i
        self.spi_r = spi_r
        self.local = self.first_local = local
        self.remote = self.first_remote = remote
        self.id = context.next_ike_id()
        self.created = now
        self.established_at: float | None = None
        self.last_heard = now
        self.last_sent = now
        self.state = IkeState.INIT_SENT if initiator else IkeState.HALF_OPEN
        self.proposal: Proposal | None = None
        self.suite: IkeSuite | None = None
        self.keys: IkeKeys | None = None
        self.nonce_i = b""
        self.nonce_r = b""
        self.init_request = b""
        self.init_response = b""
        self.init_key: tuple[Endpoint, bytes] | None = None
        self.half_open_from: Address | None = None
        self.announced = False
        self.local_id: Identity | None = None
        self.remote_id: Identity | None = None
        self.peer_fragments = False
        self.local_natted = False
        self.remote_natted = False
        self.udp_encap = False
        self.no_additional_sas = False
        self.sealed = 0
        self.requests = RequestWindow()
        self.responses = ResponseWindow()
        self.rekey_due = False
        self.reassembly = Reassembly(context.settings.max_message_size)
        self.queue: deque[Task] = deque()
        self.children: dict[int, Child] = {}
        self.early_deletes: set[int] = set()
        self.timers: dict[TimerKey, float] = {}
        self.collision: IkeSa | None = None
        self.predecessor: IkeSa | None = None
        self.rekey_nonces: tuple[bytes, bytes] = (b"", b"")
        context.sas[self.spi] = self
        if initiator:
            # As responder only once the peer has authenticated: until then it may be anybody.
            context.environment.admit_ike(self.spi)

    @property
    def spi(self) -> bytes:
        """Our own SPI."""
        return self.spi_i if self.initiator else self.spi_r

    @property
    def task(self) -> Task | None:
        """The exchange of ours that waits for a response."""
        return self.requests.outstanding.task if self.requests.outstanding else None

    def arm(self, kind: TimerKind, deadline: float, key: int = 0) -> None:
        """Set a deadline, replacing an earlier one of the same key."""
        self.timers[(kind, key)] = deadline
        self.context.timers.push(deadline, self.spi, (kind, key))

    def disarm(self, kind: TimerKind, key: int = 0) -> None:
        """Cancel a deadline."""
        self.timers.pop((kind, key), None)

    def transmit(self, datagrams: tuple[bytes, ...], now: float) -> None:
        """Send to where the peer is."""
        self.last_sent = now
        for data in datagrams:
            self.context.send(self.local, self.remote, data)

    def sent_request(self, datagrams: tuple[bytes, ...], now: float) -> None:
        """A request has just been opened in the window: send it and start its retransmission timer."""
        self.transmit(datagrams, now)
        self.arm(TimerKind.RETRANSMIT, now + self._retransmit_interval(0))

    def retransmit(self, now: float) -> bool:
        """Send the outstanding request again, bit for bit; False when all tries are used up."""
        waiting = self.requests.outstanding
        if waiting is None:
            return True
        waiting.attempt += 1
        if waiting.attempt > self.context.settings.retransmit_tries:
            return False
        self.transmit(waiting.datagrams, now)
        self.arm(TimerKind.RETRANSMIT, now + self._retransmit_interval(waiting.attempt))
        return True

    def _retransmit_interval(self, attempt: int) -> float:
        settings = self.context.settings
        jitter = 1.0 - RETRANSMIT_JITTER * self.context.environment.fraction()
        return settings.retransmit_timeout * settings.retransmit_base**attempt * jitter

    def reject(self, notify: int | None, because: Because, why: str | Mismatch, now: float) -> None:
        """Report a refusal of something this SA's peer sent."""
        self.context.reject(notify, because, why, self.remote, now)

    def abandon_tasks(self, outcome: Outcome, now: float) -> None:
        """Tell every waiting exchange that it will not happen."""
        task = self.requests.close()
        self.disarm(TimerKind.RETRANSMIT)
        waiting = [task] if task else []
        waiting += self.queue
        self.queue.clear()
        for each in waiting:
            each.abandoned(self, outcome, now)

    def forget(self) -> None:
        """Remove every trace: keys, timers, lookup entries (RFC 7296 2.12)."""
        self.timers.clear()
        self.keys = None
        self.reassembly.clear()
        self.predecessor = self.collision = None
        self.context.settled(self)
        self.context.sas.pop(self.spi, None)
        self.context.environment.dismiss_ike(self.spi)
        if self.init_key is not None:
            self.context.init_requests.pop(self.init_key, None)
