"""A section by its table of keys: what is read, what is refused, and how much of it an error may show.

Whatever stands where it does not belong may be a secret, so it is not shown: values of unknown keys, what follows a
setting on its line or on the next ones, and names where the rest of a secret may have become one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from ironswan.config import values as v
from ironswan.config.schema import Key, Unsupported
from ironswan.config.tree import HIDDEN, Place, Problems, Section, Value

LATER = "not supported yet by this version"
_ANOTHER = re.compile(r"(?<![,\s])\s+[\w-]+\s*=")
_CUT = re.compile(rf"[\r\n]|{_ANOTHER.pattern}")
_SECRET_WORDS = ("secret", "psk", "password", "key", "shared_secret", "preshared_key")


def read(
    section: Section, keys: Sequence[Key], problems: Problems, path: str, unsupported: Sequence[Unsupported] = ()
) -> dict[str, Any]:
    """The fields that a section sets; only those."""
    known = {key.name: key for key in keys}
    later = {key.name: key for key in unsupported}
    fields: dict[str, Any] = {}
    for name, value in section.values.items():
        if value.refused:
            continue
        if name in later:
            _refuse_later(later[name], value, problems, path)
        elif name in known:
            _read_one(known[name], value, problems, path, fields)
        else:
            where = f"{path}.{shown_name(name, value.place, known)}"
            problems.add(value.place, where, "unknown key" + _instead(path, name, [*known, *later]))
    return fields


def _refuse_later(key: Unsupported, value: Value, problems: Problems, path: str) -> None:
    if not key.asks_for_nothing(value.text):
        allowed = ", ".join(key.harmless)
        problems.add(value.place, f"{path}.{key.name}", LATER, value=shown(path, value), allowed=allowed)


def _read_one(key: Key, value: Value, problems: Problems, path: str, fields: dict[str, Any]) -> None:
    message = ""
    if value.text.lower().partition("-")[0] in key.later:
        message = LATER
    elif key.kind is not v.SECRET and _ANOTHER.search(value.text):
        message = "has another setting behind it: each stands on a line of its own"
    else:
        try:
            content = key.kind.read(value.text)
        except ValueError as error:
            # The words of an error may repeat the value, which is the rest of the file where a quotation is open.
            several = len(value.text.splitlines()) > 1
            message = "goes over several lines: is a quotation mark missing?" if several else str(error)
            message = message or "not a valid value"
    if message:
        where = f"{path}.{key.name}"
        problems.add(value.place, where, message, value=shown(path, value), allowed=key.kind.allowed)
    elif key.field is not None:
        fields[key.field] = content


def shown(path: str, value: Value) -> str:
    """A value as an error may show it: nothing of `secrets`, and no more than the setting it belongs to."""
    if path.partition(".")[0] == "secrets":
        return HIDDEN
    first, *more = _CUT.split(value.text, maxsplit=1)
    return f"{first}…" if more else first


def shown_name(name: str, place: Place, known: Sequence[str] | dict[str, Any]) -> str:
    """A name that nobody knows, as an error may show it: in private places only what is almost a known one."""
    outside = place.private and not get_close_matches(name, known, 1)
    return HIDDEN if outside else name


def closest(word: str, known: Sequence[str]) -> str:
    """What to ask behind "unknown"."""
    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _instead(path: str, name: str, known: Sequence[str]) -> str:
    if name.lower() in _SECRET_WORDS and not path.startswith("secrets"):
        return ": a secret stands in a section of its own, secrets { ike-… { id = … secret = … } } with a line for each"
    return closest(name, known)
