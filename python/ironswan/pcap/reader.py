"""From a file to its frames, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ironswan.pcap import classic, pcapng
from ironswan.pcap.stream import CaptureError, Frame, Stream

_OTHERS = {
    b"\x1f\x8b": "is compressed: decompress it first (gzip -d)",
    b"\x28\xb5\x2f\xfd": "is compressed: decompress it first (zstd -d)",
    b"\x34\xcd\xb2\xa1": "is a pcap of a kind that old Linux kernels wrote: convert it with editcap",
    b"\xa1\xb2\xcd\x34": "is a pcap of a kind that old Linux kernels wrote: convert it with editcap",
    b"snoop\x00": "is a snoop capture: convert it with editcap",
}


class Reader:
    """An open capture; iterating over it gives its frames once, in the order of the file.

    Raises OSError when the file cannot be read and CaptureError when it is no capture, or where it is damaged. Memory
    does not grow with the file.
    """

    def __init__(self, path: Path | str) -> None:
        """Open and look at the first octets."""
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._stream = Stream(self._file, str(path))
        try:
            self.size = Path(path).stat().st_size
            self._frames = self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> Iterator[Frame]:
        stream = self._stream
        if stream.at_end:
            raise CaptureError(f"{stream.name}: is empty")
        stream.fill(8)
        if stream.data[:4] in classic.MAGICS:
            return classic.frames(stream)
        if stream.data[:4] == pcapng.SECTION_MAGIC:
            return pcapng.frames(stream)
        for magic, message in _OTHERS.items():
            if stream.data.startswith(magic):
                raise CaptureError(f"{stream.name}: {message}")
        raise CaptureError(f"{stream.name}: is neither pcap nor pcapng")

    @property
    def position(self) -> int:
        """Octets read so far."""
        return self._stream.position

    def __iter__(self) -> Iterator[Frame]:
        """The frames that are left."""
        return self._frames

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Reader:
        """This reader, closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()
