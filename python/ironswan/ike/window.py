"""Message IDs and the window of one, both ways (RFC 7296 2.1..2.3): what is outstanding, what was answered last."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ironswan.ike.task import Task

# Message IDs are never used twice, so that an IKE SA ends before 2**32 (RFC 7296 2.2): long before it is rekeyed, and
# where the peer will not have that, deleted while there are some left for what is still under way.
REKEY_AT_MESSAGE_ID = 2**31
CLOSE_AT_MESSAGE_ID = 2**32 - 2**16


@dataclass(slots=True)
class Outstanding:
    """A request of ours that waits for its response. `datagrams` are re-sent bit for bit (RFC 7296 2.1)."""

    message_id: int
    exchange: int
    task: Task
    datagrams: tuple[bytes, ...]
    attempt: int = 0


class RequestWindow:
    """Our own requests, one at a time."""

    def __init__(self) -> None:
        """Message IDs start at 0 (RFC 7296 2.2)."""
        self.next_id = 0
        self.outstanding: Outstanding | None = None

    def open(self, exchange: int, task: Task, datagrams: tuple[bytes, ...]) -> Outstanding:
        """Record a request that is about to be sent with `next_id`."""
        self.outstanding = Outstanding(self.next_id, exchange, task, datagrams)
        self.next_id += 1
        return self.outstanding

    def matches(self, message_id: int, exchange: int) -> bool:
        """Whether a response belongs to the outstanding request."""
        waiting = self.outstanding
        return waiting is not None and (waiting.message_id, waiting.exchange) == (message_id, exchange)

    def close(self) -> Task | None:
        """The response came, or the request is given up."""
        waiting, self.outstanding = self.outstanding, None
        return waiting.task if waiting else None


class Arrival(Enum):
    """How a request's Message ID relates to the window."""

    NEW = "new"
    RETRANSMITTED = "retransmitted"
    FORGOTTEN = "forgotten"
    AHEAD = "ahead"


class ResponseWindow:
    """The peer's requests: the ID expected next, and the response to the last one."""

    def __init__(self) -> None:
        """The peer's Message IDs start at 0, whatever ours are."""
        self.expected_id = 0
        self.response: tuple[bytes, ...] = ()

    def classify(self, message_id: int) -> Arrival:
        """RFC 7296 2.1, 2.3: only the last response is kept; older requests are ignored."""
        if message_id == self.expected_id:
            return Arrival.NEW
        if message_id == self.expected_id - 1 and self.response:
            return Arrival.RETRANSMITTED
        return Arrival.FORGOTTEN if message_id < self.expected_id else Arrival.AHEAD

    def answered(self, response: tuple[bytes, ...]) -> None:
        """Remember the response and advance."""
        self.response = response
        self.expected_id += 1
