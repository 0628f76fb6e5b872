"""Log lines for people on stderr. What a peer sent is escaped, cut and limited in rate before it gets here."""

from __future__ import annotations

import logging
import sys
from collections import Counter

MAX_TEXT = 600
BURST = 5
WINDOW = 10.0


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """`text` on one line, without control characters or terminal escapes, at most `limit` characters."""
    cut = text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more)"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


class _Line(logging.Formatter):
    """`level: text`, the level only where it is worth attention; tracebacks stay on their own lines."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        text = f"{level}{plain(record.getMessage(), 4 * MAX_TEXT)}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure(level: int = logging.INFO) -> None:
    """Send the log of the whole program to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    stamp = "" if _under_journal() else "%(asctime)s "
    handler.setFormatter(_Stamped(stamp))
    root = logging.getLogger("ironswan")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
    for name in ("asyncio", "pyroute2"):
        logging.getLogger(name).handlers[:] = [handler]
        logging.getLogger(name).propagate = False
        logging.getLogger(name).setLevel(logging.WARNING)


class _Stamped(_Line):
    def __init__(self, stamp: str) -> None:
        super().__init__()
        self._stamp = stamp

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return f"{self.formatTime(record, '%H:%M:%S')} {line}" if self._stamp else line


def _under_journal() -> bool:
    import os

    return "JOURNAL_STREAM" in os.environ


class RateLimit:
    """At most BURST lines of one kind in WINDOW seconds; how many were left out is told with the next one."""

    def __init__(self) -> None:
        """Nothing said yet."""
        self._since = 0.0
        self._said: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def admit(self, kind: str, now: float) -> str | None:
        """What to add to a line of this kind, often nothing; None to leave it out. Kinds are our own words, so few."""
        if now - self._since >= WINDOW:
            self._since = now
            self._said.clear()
        self._said[kind] += 1
        if self._said[kind] > BURST:
            self._left_out[kind] += 1
            return None
        left_out = self._left_out.pop(kind, 0)
        return f" ({left_out} more like this were left out)" if left_out else ""
