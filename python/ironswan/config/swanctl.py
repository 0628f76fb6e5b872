"""The syntax of swanctl.conf: nested sections, `key = value`, comments, quotes, include, inheritance."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from glob import escape, glob, has_magic
from pathlib import Path

from ironswan.config.tree import HIDDEN, Place, Problems, Section, Value

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "\n": ""}
_NAME = re.compile(r"[^\s{}#=:\",]+")
_MAXIMUM_DEPTH = 16
_MAXIMUM_INHERITANCE = 64
Opener = Callable[[Path], str | None]


@dataclass(frozen=True, slots=True)
class _Inheritance:
    section: Section
    bases: tuple[str, ...]
    place: Place


class _Parser:
    """One pass over one file; sections merge into `root`, which the included files share."""

    def __init__(self, trail: tuple[Path, ...], text: str, root: Section, problems: Problems, opener: Opener) -> None:
        self.trail, self.path, self.text, self.problems, self.opener = trail, trail[-1], text, problems, opener
        self.at = 0
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.stack = [root]
        self.opened: list[tuple[str, Place]] = []
        self.inheritances: list[_Inheritance] = []
        self.private = False
        self.lost = False
        self.several_lines = 0

    @property
    def place(self) -> Place:
        return Place(str(self.path), bisect_left(self.newlines, self.at) + 1, self.private)

    def parse(self) -> None:
        while self._skip_blank():
            if self.text[self.at] == "}":
                self.at += 1
                if not self.opened:
                    self.problems.add(self.place, "}", "there is no section to close")
                else:
                    self.opened.pop()
                    self.stack.pop()
            else:
                self._statement()
        for name, place in () if self.lost else self.opened:
            self.problems.add(place, _shown(name, place), "the section is not closed: add a }")
            if len(self.opened) > _MAXIMUM_DEPTH:
                break

    def _skip_blank(self) -> bool:
        """Moves to the next thing that is neither white space nor comment; False at the end."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text[self.at].isspace():
                self.at += 1
            else:
                return True
        return False

    def _statement(self) -> None:
        place = self.place
        quoted = self.text[self.at] == '"'
        name = self._name()
        if self.lost:
            return
        if name is None:
            self.problems.add(place, self.text[self.at], "a name was expected: write `key = value` or `name {`")
            self._value()
        elif "\n" in name:
            self.problems.add(place, '"', "a name cannot go over several lines: is a quotation mark missing?")
            self._value()
        else:
            # What stands in quotation marks, or behind a stray } or #, may be a secret or the rest of one.
            self._named(name, place, HIDDEN if quoted else _shown(name, place))

    def _named(self, name: str, place: Place, shown: str) -> None:
        self._skip_spaces()
        following = self.text[self.at : self.at + 1]
        if name == "include" and following not in ("=", "{"):
            self._include(place)
            return
        if following == "=":
            self.at += 1
            text = self._value()
            self.stack[-1].set(name, Value(text, place, self.lost))
            return
        bases: tuple[str, ...] = ()
        if following == ":":
            self.at += 1
            bases = self._bases()
        if self._brace_follows():
            self._open(name, bases, place)
            return
        self.problems.cut_short = True
        self.problems.add(place, shown, f"neither a value nor a section: write `{shown} = value` or `{shown} {{`")
        self._value()

    def _brace_follows(self) -> bool:
        """Whether a { comes next, and then moves behind it; else nowhere: the next line is another statement."""
        here = self.at
        if self._skip_blank() and self.text[self.at] == "{":
            self.at += 1
            return True
        self.at = here
        return False

    def _open(self, name: str, bases: tuple[str, ...], place: Place) -> None:
        if len(self.stack) > _MAXIMUM_DEPTH:
            self.problems.add(place, _shown(name, place), f"sections are nested more than {_MAXIMUM_DEPTH} deep")
            self.at = len(self.text)
            return
        section = self.stack[-1].child(name, place)
        self.stack.append(section)
        self.opened.append((name, place))
        self.private |= name == "secrets"
        if bases:
            self.inheritances.append(_Inheritance(section, bases, place))

    def _name(self) -> str | None:
        if self.text[self.at] == '"':
            return self._quoted()
        match = _NAME.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[0]

    def _bases(self) -> tuple[str, ...]:
        end = min((i for i in (self.text.find(c, self.at) for c in "{\n#") if i >= 0), default=len(self.text))
        words = self.text[self.at : end].split(",")
        self.at = end
        return tuple(word.strip() for word in words if word.strip())

    def _value(self) -> str:
        """Words up to the end of the line, a comment or a closing brace; quoted pieces keep what they say."""
        parts: list[str] = []
        while self.at < len(self.text) and self.text[self.at] not in "\n#}":
            if self.text[self.at] == '"':
                parts.append(self._quoted())
                continue
            start = self.at
            while self.at < len(self.text) and self.text[self.at] not in '\n#}"':
                self.at += 1
            plain = self.text[start : self.at].strip()
            if plain:
                parts.append(plain)
        return " ".join(parts)

    def _quoted(self) -> str:
        place = self.place
        self.at += 1
        begin = self.at
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == '"':
                # With a mark too many what was inside of quotations is outside now, secrets too.
                if "\n" in self.text[begin : self.at]:
                    self.private = True
                    self.several_lines = self.several_lines or place.line
                return "".join(out)
            if char == "\\" and self.at < len(self.text):
                escaped = self.text[self.at]
                out.append(_ESCAPES.get(escaped, "\\" + escaped))
                self.at += 1
            else:
                out.append(char)
        earlier = f"; or that in line {self.several_lines} was to end there" if self.several_lines else ""
        self.problems.add(place, '"', f"the quotation is not closed{earlier}")
        self.lost = self.problems.cut_short = True
        return ""

    def _include(self, place: Place) -> None:
        pattern = self._value()
        if self.lost:
            return
        shown = pattern.partition("\n")[0]
        if not pattern:
            self.problems.add(place, "include", "names no file")
            return
        if len(self.trail) > _MAXIMUM_DEPTH:
            self.problems.add(place, "include", f"more than {_MAXIMUM_DEPTH} files deep", value=shown)
            return
        absolute = pattern if pattern.startswith("/") else f"{escape(str(self.path.parent))}/{pattern}"
        matches = sorted(glob(absolute))  # noqa: PTH207  Path.glob takes no absolute pattern
        if not matches and not has_magic(pattern):
            self.problems.add(place, "include", "there is no such file", value=shown)
        for path in map(Path, matches):
            if path.resolve() in {passed.resolve() for passed in self.trail}:
                self.problems.add(place, "include", f"{path} includes itself", value=shown)
            elif (text := self.opener(path)) is not None:
                inner = _Parser((*self.trail, path), text, self.stack[-1], self.problems, self.opener)
                inner.private = self.private
                inner.parse()
                self.inheritances += inner.inheritances

    def _skip_spaces(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1


def _shown(name: str, place: Place) -> str:
    return HIDDEN if place.private else name


def parse(path: Path, text: str, problems: Problems, opener: Opener) -> Section:
    """The tree of a file and of those it includes; `opener` reads them. Mistakes are noted."""
    root = Section(Place(str(path), 1))
    parser = _Parser((path,), text, root, problems, opener)
    parser.parse()
    _apply_inheritance(root, parser.inheritances, problems)
    return root


def _apply_inheritance(root: Section, inheritances: list[_Inheritance], problems: Problems) -> None:
    """Bases first: a section that inherits from one that inherits gets both."""
    pending = {id(item.section): item for item in inheritances}
    done: set[int] = set()

    def settle(item: _Inheritance, trail: tuple[int, ...]) -> None:
        if id(item.section) in done:
            return
        for base in item.bases:
            found, shown = _find(root, base), _shown(base, item.place)
            if found is None:
                problems.add(item.place, shown, "there is no such section to inherit from")
            elif id(found) in trail or _overlap(found, item.section):
                problems.add(item.place, shown, "the section inherits from itself")
            elif len(trail) > _MAXIMUM_INHERITANCE:
                problems.add(item.place, shown, f"inherited over more than {_MAXIMUM_INHERITANCE} sections")
            else:
                found.is_base = True
                if id(found) in pending:
                    settle(pending[id(found)], (*trail, id(item.section)))
                item.section.inherit(found)
        done.add(id(item.section))

    for item in inheritances:
        settle(item, ())


def _overlap(a: Section, b: Section) -> bool:
    return any(s is b for _, s in a.walk()) or any(s is a for _, s in b.walk())


def _find(root: Section, path: str) -> Section | None:
    section: Section | None = root
    for name in path.split("."):
        section = section.sections.get(name) if section is not None else None
    return section
