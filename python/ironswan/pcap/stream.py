"""The octets of a capture file, a chunk at a time, and what is said when they make no sense."""

from __future__ import annotations

from io import RawIOBase

from ironswan.errors import IronswanError

# A chunk and what is made of it stay within the second-level cache of most processors.
CHUNK = 256 << 10
MAXIMUM_RECORD = 16 << 20

# Timestamp in nanoseconds since 1970, link type, buffer, start and end of the frame in it.
Frame = tuple[int, int, bytes, int, int]


class CaptureError(IronswanError):
    """A file that is no capture, or a damaged one."""


class TruncatedCapture(CaptureError):
    """A capture that ends within a packet, as it does when its writer was stopped; all before is sound."""


class Stream:
    """What is read and not yet taken is `data[at:]`; frames of one chunk share one `data`."""

    __slots__ = ("_file", "_taken", "at", "data", "name")

    def __init__(self, file: RawIOBase, name: str) -> None:
        """`name` stands in errors."""
        self._file = file
        self._taken = 0
        self.data = b""
        self.at = 0
        self.name = name

    @property
    def position(self) -> int:
        """Octets of the file taken so far."""
        return self._taken + self.at

    def fill(self, count: int) -> bool:
        """Have `count` octets from `at` on; False when the file ends before."""
        have = len(self.data) - self.at
        if have >= count:
            return True
        parts = [self.data[self.at :]]
        self._taken += self.at
        while have < count:
            chunk = self._file.read(max(CHUNK, count - have))
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        self.data, self.at = b"".join(parts), 0
        return have >= count

    @property
    def at_end(self) -> bool:
        """Nothing is left."""
        return not self.fill(1)

    def error(self, message: str) -> CaptureError:
        """The file is damaged here."""
        return CaptureError(f"{self.name}: at octet {self.position}: {message}")

    def truncated(self) -> TruncatedCapture:
        """The file ends within what begins here."""
        return TruncatedCapture(f"{self.name}: the file ends within the packet at octet {self.position}")
