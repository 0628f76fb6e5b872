"""Keys as TOML: one `[[sa]]` table an SA.

[[sa]]
spi = "0xc1234567"         # or a number, or "*"
suite = "aes128gcm16"      # a keyword of swanctl: aes256-sha256, chacha20poly1305, ...
keymat = "00112233..."     # encryption key, salt, integrity key; or:
encr_key = "0011..."       # encryption key and salt
integ_key = "4455..."      # integrity key
src = "192.0.2.1"          # default *: any
dst = "192.0.2.2"
mode = "tunnel"            # or transport; default auto: by the protocol that is found inside
esn = false
replay_window = 65536
sequence_number = 0        # the highest one before the capture began; of use only with esn
protocol = "esp"           # or "ah"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Any

from ironswan.config.tree import Place, Problems
from ironswan.pcap import suites
from ironswan.pcap.keys import ADDRESS, ANY, REPLAY_WINDOW, SPI, Pattern, SaKeys, address_pattern, constructible
from ironswan.pcap.keys import spi_pattern as read_spi

_HEADER = re.compile(r"\s*\[\[\s*sa\s*\]\]")
_OTHER_HEADER = re.compile(r"\s*\[")
_KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*=")
_HEXADECIMAL = "hexadecimal digits in quotes"
_SECRETS = ("keymat", "encr_key", "integ_key")


def _word(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError("is not one of them")
        return str(value)

    return read


def _number(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError("is out of range")
        return value

    return read


def _spi(value: object) -> Pattern:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        value = f"{value:#x}"
    return read_spi(_text(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def _key(value: object) -> bytes:
    return suites.from_hexadecimal(_text(value))


# By key: what may stand there, and how it is read.
_FIELDS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "protocol": ("esp, ah", _word("esp", "ah")),
    "spi": (SPI, _spi),
    "suite": ("a keyword such as aes128gcm16 or aes256-sha256", _text),
    "keymat": (_HEXADECIMAL, _key),
    "encr_key": (_HEXADECIMAL, _key),
    "integ_key": (_HEXADECIMAL, _key),
    "src": (ADDRESS, lambda value: address_pattern(_text(value))),
    "dst": (ADDRESS, lambda value: address_pattern(_text(value))),
    "mode": ("auto, tunnel, transport", _word("auto", "tunnel", "transport")),
    "esn": ("true, false", _boolean),
    "replay_window": ("1..65536", _number(1, 65_536)),
    "sequence_number": ("0..18446744073709551614", _number(0, (1 << 64) - 2)),
}


def parse(file: str, text: str, problems: Problems) -> list[SaKeys]:
    """The SAs of a file. Mistakes go to `problems`."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        match = re.search(r"at line (\d+)", str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        problems.add(Place(file, line), "TOML", str(error))
        return []
    except RecursionError:
        problems.add(Place(file, 1), "TOML", "values are nested too deep")
        return []
    tables, lines = document.pop("sa", []), _lines(text)
    for name in document:
        problems.add(Place(file, _top_line(text, name)), name, "is no key of a keys file", allowed="[[sa]]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.add(Place(file, _top_line(text, "sa")), "sa", "is not a list of tables", allowed="[[sa]]")
        return []
    # Tables written inline have no header of their own, so that no line is known for them.
    lines += [(1, {})] * (len(tables) - len(lines))
    read = (_Table(file, places, problems).read(table) for table, places in zip(tables, lines, strict=False))
    return [sa for sa in read if sa is not None and constructible(sa, problems)]


def _lines(text: str) -> list[tuple[int, dict[str, int]]]:
    """The line of each `[[sa]]`, and those of its keys."""
    found: list[tuple[int, dict[str, int]]] = []
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if _HEADER.match(line):
            found.append((number, {}))
            inside = True
        elif _OTHER_HEADER.match(line):
            inside = False
        elif inside and (key := _KEY.match(line)):
            found[-1][1].setdefault(key[1], number)
    return found


def _top_line(text: str, name: str) -> int:
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(name)}\b")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


class _Table:
    """One `[[sa]]`; each of its keys that is wrong is one problem."""

    def __init__(self, file: str, places: tuple[int, dict[str, int]], problems: Problems) -> None:
        self._file = file
        self._line, self._lines = places
        self._problems = problems
        self._errors = 0

    def _place(self, key: str) -> Place:
        return Place(self._file, self._lines.get(key, self._line))

    def _wrong(self, key: str, message: str, value: str = "", allowed: str = "") -> None:
        self._errors += 1
        self._problems.add(self._place(key), key, message, value=suites.shown(value), allowed=allowed)

    def read(self, table: dict[str, object]) -> SaKeys | None:
        """The SA of a table, or None and problems."""
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in _FIELDS:
                self._wrong(key, "is no key of [[sa]]", allowed=suites.suggestion(key, [*_FIELDS], ", ".join(_FIELDS)))
                continue
            allowed, reader = _FIELDS[key]
            try:
                values[key] = reader(value)
            except ValueError as error:
                self._wrong(key, str(error), "" if key in _SECRETS else str(value), allowed)
        for key in ("spi", "suite"):
            if key not in table:
                self._wrong(key, "is missing", allowed=_FIELDS[key][0])
        keymat = self._keymat(table, values)
        if self._errors:
            return None
        return SaKeys(
            self._place("suite"), values.get("protocol", "esp"), values["spi"], values.get("src", ANY),
            values.get("dst", ANY), values["suite"].lower(), keymat, values.get("mode", "auto"),
            values.get("esn", False), values.get("replay_window", REPLAY_WINDOW), values.get("sequence_number", 0),
        )  # fmt: skip

    def _keymat(self, table: dict[str, object], values: dict[str, Any]) -> bytes:
        """The keying material, of the length that the suite needs."""
        written = [key for key in _SECRETS if key in table]
        if not written or ("keymat" in written and len(written) > 1):
            message = "stands beside its own parts" if written else "is missing"
            self._wrong("keymat", message, allowed="either keymat, or encr_key and integ_key")
        if "suite" not in values or any(key not in values for key in written):
            return b""
        protocol, keyword = values.get("protocol", "esp"), values["suite"].lower()
        suite = suites.table().get((protocol, keyword))
        if suite is None:
            known = [word for kind, word in suites.table() if kind == protocol]
            allowed = suites.suggestion(keyword, known, f"such as {', '.join(known[:3])}")
            self._wrong("suite", f"is no suite of {protocol}", keyword, allowed)
            return b""
        keymat: bytes = b"".join(values.get(key, b"") for key in _SECRETS)
        if written and len(keymat) != suite.keymat_len:
            self._wrong(written[0], f"has {len(keymat)} octets", allowed=suites.lengths(suite))
        return keymat
