"""What all IKE SAs of one engine share: configuration, entropy, numbers, the two output queues, the timer heap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike.environment import Environment
from ironswan.ike.events import Event, Rejected
from ironswan.ike.limiter import RateLimiter, RecentCount
from ironswan.ike.operations import Operations
from ironswan.ike.timers import TimerKey, TimerQueue
from ironswan.ike.types import Because, Datagram, Endpoint, Reject
from ironswan.policy.connection import Configuration, Settings
from ironswan.policy.proposals import Mismatch
from ironswan.policy.selectors import Address

if TYPE_CHECKING:
    from ironswan.ike.children import Child
    from ironswan.ike.session import IkeSa

UNPROTECTED_REPLIES_PER_SECOND = 50.0
# Answers to requests for an IKE SA that can be read have a budget of their own: garbage does not use it up, and without
# INVALID_KE_PAYLOAD a peer could not connect.
INIT_REPLIES_PER_SECOND = 200.0
# A request that cost us work and left no IKE SA counts towards cookies for as long as one that did.
WASTED_PERIOD = 30.0
REJECTED_EVENTS_PER_SECOND = 200.0
# Characters of a refusal's sentence: parts of it may be what a peer sent.
DETAIL_LENGTH = 1000


def source(address: Address) -> tuple[int, int]:
    """Whom an address stands for: itself, or its /64, of which one host may have every address (I40)."""
    return address.version, int(address) >> (0 if address.version == 4 else 64)


class Context:
    """The engine's shared state. IKE SAs are found by our SPI, children by their inbound SPI."""

    def __init__(self, configuration: Configuration, environment: Environment) -> None:
        """Nothing is sent or armed yet."""
        self.configuration = configuration
        self.environment = environment
        self.datagrams: list[Datagram] = []
        self.events: list[Event] = []
        self.sas: dict[bytes, IkeSa] = {}
        self.children: dict[int, tuple[IkeSa, Child]] = {}
        self.init_requests: dict[tuple[Endpoint, bytes], bytes] = {}
        self._half_open = 0
        self._half_open_by_source: dict[tuple[int, int], int] = {}
        self.wasted = RecentCount(WASTED_PERIOD)
        self.operations = Operations(self.events)
        self.timers = TimerQueue(self._is_armed)
        self.unprotected_replies = RateLimiter(UNPROTECTED_REPLIES_PER_SECOND, UNPROTECTED_REPLIES_PER_SECOND)
        self.init_replies = RateLimiter(INIT_REPLIES_PER_SECOND, INIT_REPLIES_PER_SECOND)
        self._rejections = RateLimiter(REJECTED_EVENTS_PER_SECOND, REJECTED_EVENTS_PER_SECOND)
        self._last_ike_id = 0
        self._last_child_id = 0

    @property
    def settings(self) -> Settings:
        """Gateway-wide values of the current configuration."""
        return self.configuration.settings

    def next_ike_id(self) -> int:
        """A number for a new IKE SA."""
        self._last_ike_id += 1
        return self._last_ike_id

    def next_child_id(self) -> int:
        """A number for a new Child SA."""
        self._last_child_id += 1
        return self._last_child_id

    def new_ike_spi(self) -> bytes:
        """A random IKE SPI, never zero and not in use."""
        while True:
            spi = self.environment.entropy(8)
            if spi != bytes(8) and spi not in self.sas:
                return spi

    def sa_by_id(self, ike_id: int) -> IkeSa | None:
        """The IKE SA of that number."""
        return next((sa for sa in self.sas.values() if sa.id == ike_id), None)

    @property
    def half_open(self) -> int:
        """How many IKE SAs a peer started and has not authenticated, those that failed and linger included."""
        return self._half_open

    def half_open_from(self, address: Address) -> int:
        """The same, from where an address is."""
        return self._half_open_by_source.get(source(address), 0)

    def began(self, address: Address) -> None:
        """A peer at this address started an IKE SA."""
        self._half_open += 1
        self._half_open_by_source[source(address)] = self.half_open_from(address) + 1

    def settled(self, sa: IkeSa) -> None:
        """An IKE SA authenticated, or nothing is left of it."""
        address, sa.half_open_from = sa.half_open_from, None
        if address is None:
            return
        self._half_open -= 1
        left = self._half_open_by_source.pop(source(address)) - 1
        if left:
            self._half_open_by_source[source(address)] = left

    def send(self, local: Endpoint, remote: Endpoint, data: bytes) -> None:
        """Queue a datagram."""
        self.datagrams.append(Datagram(local, remote, data))

    def emit(self, event: Event) -> None:
        """Queue an event."""
        self.events.append(event)

    def reject(self, notify: int | None, because: Because, why: str | Mismatch, remote: Endpoint, now: float) -> None:
        """Report a refusal, unless a flood of them is under way: then nothing is explained either."""
        if self._rejections.allow(now):
            self.events.append(Rejected(Reject(notify, because, str(why)[:DETAIL_LENGTH]), remote))

    def _is_armed(self, spi: bytes, key: TimerKey, deadline: float) -> bool:
        sa = self.sas.get(spi)
        return sa is not None and sa.timers.get(key) == deadline
