"""What all IKE SAs of one engine share: configuration, entropy, numbers, the two output queues, the timer heap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike.environment import Environment
from ironswan.ike.events import Event, Rejected
from ironswan.ike.limiter import RateLimiter
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
REJECTED_EVENTS_PER_SECOND = 200.0
# Characters of a refusal's sentence: parts of it may be what a peer sent.
DETAIL_LENGTH = 1000


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
        self._half_open_by_address: dict[Address, int] = {}
        self.operations = Operations(self.events)
        self.timers = TimerQueue(self._is_armed)
        self.unprotected_replies = RateLimiter(UNPROTECTED_REPLIES_PER_SECOND, UNPROTECTED_REPLIES_PER_SECOND)
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
        """How many IKE SAs a peer started and has not authenticated."""
        return self._half_open

    def half_open_from(self, address: Address) -> int:
        """The same, from one address."""
        return self._half_open_by_address.get(address, 0)

    def began(self, address: Address) -> None:
        """A peer at this address started an IKE SA."""
        self._half_open += 1
        self._half_open_by_address[address] = self.half_open_from(address) + 1

    def settled(self, sa: IkeSa) -> None:
        """An IKE SA authenticated, or failed to."""
        address, sa.half_open_from = sa.half_open_from, None
        if address is None:
            return
        self._half_open -= 1
        left = self._half_open_by_address.pop(address) - 1
        if left:
            self._half_open_by_address[address] = left

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
