"""IKE fragmentation (RFC 7383): cutting what we send, collecting what was authenticated. Knows no keys."""

from __future__ import annotations

from dataclasses import dataclass

MAX_FRAGMENTS = 256
IPV4_OVERHEAD = 20 + 8
IPV6_OVERHEAD = 40 + 8
NON_ESP_MARKER = 4
REASSEMBLY_TIMEOUT = 30.0


def largest_datagram(fragment_size: int, address_version: int) -> int:
    """The largest IKE message that fits an IP packet of `fragment_size` octets, marker included."""
    return fragment_size - (IPV4_OVERHEAD if address_version == 4 else IPV6_OVERHEAD) - NON_ESP_MARKER


def split(plaintext: bytes, room: int) -> tuple[bytes, ...]:
    """Pieces of at most `room` octets, at least one."""
    return tuple(plaintext[i : i + room] for i in range(0, len(plaintext), room)) or (b"",)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One authenticated fragment: `first` is the type of the first payload, given in fragment 1 only."""

    message_id: int
    response: bool
    number: int
    total: int
    first: int
    plaintext: bytes


@dataclass(frozen=True, slots=True)
class Whole:
    """A reassembled message: the type of its first payload, and all payloads."""

    first: int
    plaintext: bytes


class Reassembly:
    """Fragments of one message at a time and direction, bounded in number and octets (RFC 7383 2.6, 5)."""

    def __init__(self, max_size: int) -> None:
        """`max_size` bounds the octets of one message."""
        self._max_size = max_size
        self._queues: dict[bool, dict[int, Fragment]] = {}

    @property
    def waiting(self) -> bool:
        """Whether an incomplete message is held."""
        return bool(self._queues)

    @property
    def held(self) -> int:
        """Octets held."""
        return sum(len(f.plaintext) for queue in self._queues.values() for f in queue.values())

    def clear(self) -> None:
        """Drop everything held."""
        self._queues.clear()

    def add(self, fragment: Fragment) -> Whole | None:
        """Take an authenticated fragment; the whole message when it was the last one. What does not fit is dropped."""
        if not 1 <= fragment.number <= fragment.total <= MAX_FRAGMENTS:
            return None
        queue = self._queue_for(fragment)
        if queue is None or fragment.number in queue or (fragment.number == 1) != (fragment.first != 0):
            return None
        if sum(len(f.plaintext) for f in queue.values()) + len(fragment.plaintext) > self._max_size:
            self._queues.pop(fragment.response, None)
            return None
        queue[fragment.number] = fragment
        self._queues[fragment.response] = queue
        if len(queue) < fragment.total:
            return None
        del self._queues[fragment.response]
        return Whole(queue[1].first, b"".join(queue[n].plaintext for n in range(1, fragment.total + 1)))

    def _queue_for(self, fragment: Fragment) -> dict[int, Fragment] | None:
        """The queue this fragment belongs to; a larger total restarts it, a smaller one is dropped (RFC 7383 2.6)."""
        queue = self._queues.get(fragment.response, {})
        sample = next(iter(queue.values()), None)
        if sample is None or sample.message_id != fragment.message_id or fragment.total > sample.total:
            return {}
        return queue if fragment.total == sample.total else None
