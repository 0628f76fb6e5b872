"""What is said on the control socket. Knows the words and the limits; no socket and no gateway.

A request is one line `{"command": "up", "name": "c"}`. The answer is any number of `{"progress": text}` lines, then one
`{"result": {...}}` or `{"error": {"code": name of an ExitCode in lower case, "message": text, ...}}`. After `stop` the
gateway closes the connection, once it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum

SCHEMA = 1
MAX_REQUEST = 64 << 10
JsonObject = dict[str, object]


class ExitCode(IntEnum):
    """How a command ended, as the program's exit code; the names travel on the socket in lower case."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    NO_SUCH_OBJECT = 4
    CONFIGURATION = 5
    PEER_REFUSED = 6
    TIMEOUT = 7
    PERMISSION = 8

    @property
    def word(self) -> str:
        """The name on the socket."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> ExitCode:
        """The code of a name on the socket; FAILED for a name we do not know."""
        return cls.__members__.get(word.upper(), cls.FAILED)


class CommandError(Exception):
    """A command did not do what was asked: an exit code, a sentence for people, more for programs."""

    def __init__(self, code: ExitCode, message: str, **details: object) -> None:
        """Keep all three."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: JsonObject = dict(details)

    def document(self) -> JsonObject:
        """The error as it stands in a reply."""
        return {"code": self.code.word, "message": self.message, **self.details}


def encode(document: Mapping[str, object]) -> bytes:
    """One line."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> JsonObject:
    """The JSON object of one line. Raises CommandError(USAGE) when it is none."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise CommandError(ExitCode.USAGE, "a request is one line of JSON") from None
    if not isinstance(document, dict):
        raise CommandError(ExitCode.USAGE, "a request is a JSON object")
    return document
