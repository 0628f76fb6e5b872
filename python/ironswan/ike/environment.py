"""What the engine needs from the world and may not fetch itself: entropy, and SPIs the data plane can look up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class AllocateSpi(Protocol):
    """Gives a free inbound ESP SPI, 256 or more."""

    def __call__(self, worker: int | None = None, /) -> int:
        """For a worker of the data plane, or for any."""


def _keep(spi: int) -> None:
    """SPIs need no release where nothing is reserved for them."""


def _unheeded(spi: bytes) -> None:
    """IKE SPIs need not be known where nobody sorts messages before the engine does."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Sources the gateway (or a seeded test) provides.

    `entropy(n)` gives n unpredictable octets; `allocate_spi()` gives a free inbound ESP SPI; `release_spi` takes one
    back that never became a Child SA (those of Child SAs are free again after ChildRemoved). `workers` is how many
    carry packets, numbered from 0. `admit_ike(spi)` says that messages with this IKE SPI of ours are not a stranger's,
    `dismiss_ike` that they are again.
    """

    entropy: Callable[[int], bytes]
    allocate_spi: AllocateSpi
    release_spi: Callable[[int], None] = _keep
    workers: int = 1
    admit_ike: Callable[[bytes], None] = _unheeded
    dismiss_ike: Callable[[bytes], None] = _unheeded

    def fraction(self) -> float:
        """A number in [0, 1) drawn from the entropy, for jitter."""
        return int.from_bytes(self.entropy(4), "big") / 2**32
