"""What both syntaxes are read into: sections and values, each knowing where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ironswan.errors import Problem

HIDDEN = "***"
"""Stands in an error for what may be a secret."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; `private`: behind the secrets of that file, so that any name may be the rest of one."""

    file: str
    line: int
    private: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A value as text. Its repr does not show it, since it may be a secret. `refused`: was reported as a mistake."""

    text: str = field(repr=False)
    place: Place
    refused: bool = False


@dataclass(slots=True)
class Section:
    """Named values and sections, in the order of the file."""

    place: Place
    values: dict[str, Value] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    unset: set[str] = field(default_factory=set)
    is_base: bool = False

    def inherit(self, base: Section) -> None:
        """Adds what `base` says and this section does not."""
        for key, value in base.values.items():
            if key not in self.unset:
                self.values.setdefault(key, value)
        for name, section in base.sections.items():
            self.child(name, section.place).inherit(section)

    def set(self, key: str, value: Value) -> None:
        """Sets a value; an empty one unsets it, so that the default applies."""
        if value.text or value.refused:
            self.values[key] = value
            self.unset.discard(key)
        else:
            self.values.pop(key, None)
            self.unset.add(key)

    def child(self, name: str, place: Place) -> Section:
        """The section of that name, made if need be: repeated sections merge."""
        return self.sections.setdefault(name, Section(place))

    def walk(self, *path: str) -> Iterator[tuple[tuple[str, ...], Section]]:
        """This section and all below it, with their paths."""
        yield path, self
        for name, section in self.sections.items():
            yield from section.walk(*path, name)


@dataclass(slots=True)
class Problems:
    """Every mistake found so far; `cut_short`: what seems to be missing may stand where nothing could be read."""

    found: dict[Problem, None] = field(default_factory=dict)
    cut_short: bool = False

    def add(self, place: Place, key: str, message: str, *, value: str = "", allowed: str = "") -> None:
        """Notes one mistake."""
        problem = Problem(place.file, place.line, key, value, message, allowed)
        self.found.setdefault(problem)

    def sorted(self) -> tuple[Problem, ...]:
        """The mistakes, in the order of the lines."""
        return tuple(sorted(self.found, key=lambda problem: (problem.file, problem.line)))
