"""TOML with the same keys. `tomllib` reads it; a light scan of the lines finds out where each key stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from ironswan.config.tree import Place, Problems, Section, Value

_HEADER = re.compile(r"\s*\[\[?\s*(.+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*((?:\"[^\"]*\"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:\"[^\"]*\"|'[^']*'|[\w-]+))*)\s*=")
_MAXIMUM_DEPTH = 16
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")


def parse(path: Path, text: str, problems: Problems) -> Section:
    """The tree of a file. Mistakes go to `problems`."""
    root = Section(Place(str(path), 1))
    try:
        document = tomllib.loads(text)
    except RecursionError:
        problems.add(Place(str(path), 1), "TOML", "values are nested too deep")
        return root
    except ValueError as error:
        match = re.search(r"at line (\d+)", str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        problems.add(Place(str(path), line), "TOML", str(error))
        return root
    _fill(root, document, (), _lines(text), str(path), problems)
    return root


def _fill(
    section: Section, table: dict[str, Any], path: tuple[str, ...], lines: dict[tuple[str, ...], int], file: str,
    problems: Problems,
) -> None:  # fmt: skip
    if len(path) > _MAXIMUM_DEPTH:
        problems.add(section.place, path[-1], f"tables are nested more than {_MAXIMUM_DEPTH} deep")
        return
    for key, content in table.items():
        here = (*path, key)
        place = Place(file, _line(lines, here))
        if isinstance(content, dict):
            _fill(section.child(key, place), content, here, lines, file, problems)
        else:
            text = _text(content)
            if path[:1] == ("secrets",) and key == "secret" and not isinstance(content, str):
                # As a number it would be another secret than the one that was meant: 0xdeadbeef is 3735928559.
                problems.add(place, ".".join(here), "a secret is a text: write it in quotes")
                section.set(key, Value("", place, refused=True))
            elif text is None:
                problems.add(place, key, "a value is a text, a number, true or false, or a list of these")
            else:
                section.set(key, Value(text, place))


def _text(content: object) -> str | None:
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, str | int | float):
        return str(content)
    if isinstance(content, list) and not any(isinstance(item, list) for item in content):
        parts = [_text(item) for item in content]
        return None if None in parts else ", ".join(map(str, parts))
    return None


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of every table header and key, by path; the first wins."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        key = _KEY.match(line)
        header = _HEADER.match(line)
        if header is not None and key is None:
            table = path = _parts(header[1])
        elif key is not None:
            path = (*table, *_parts(key[1]))
        else:
            continue
        # The tables around it are made by the same line, if none was before.
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], number)
    return lines


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(next(group for group in match.groups() if group is not None) for match in _PART.finditer(dotted))


def _line(lines: dict[tuple[str, ...], int], path: tuple[str, ...]) -> int:
    """The line of a key, or of the nearest table around it."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1
