"""Errors that an operator sees. Each says what is wrong and what to do; none carries a secret."""

from __future__ import annotations

from dataclasses import dataclass


class IronswanError(Exception):
    """Base of every error that ironswan raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: where it is, what stands there, and what may stand there instead."""

    file: str
    line: int
    key: str
    value: str
    message: str
    allowed: str = ""

    def __str__(self) -> str:
        """`file:line: key = value: message (allowed: …)`."""
        what = f"{self.key} = {self.value}" if self.value else self.key
        allowed = f" (allowed: {self.allowed})" if self.allowed else ""
        return f"{self.file}:{self.line}: {what}: {self.message}{allowed}"


class ConfigurationError(IronswanError):
    """A configuration that cannot be used, with every mistake in it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """All problems at once, in the order of the file."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
