"""What an operator's name stands for: `connection`, `child`, `connection/child`, `connection/*`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.gateway.policies import Target
from ironswan.policy.connection import Configuration


@dataclass(frozen=True, slots=True)
class Named:
    """A connection, and the children meant; `whole` when the connection itself was named."""

    connection: str
    children: tuple[str, ...]
    whole: bool

    @property
    def targets(self) -> tuple[Target, ...]:
        """Each child with its connection."""
        return tuple((self.connection, child) for child in self.children)

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.connection if self.whole else str(self)

    def __str__(self) -> str:
        """What to write for exactly this."""
        return f"{self.connection}/*" if self.whole else f"{self.connection}/{self.children[0]}"


Known = dict[str, tuple[str, ...]]


def known(configuration: Configuration, alive: Iterable[Target] = ()) -> Known:
    """Names that can be meant: what is configured, and what runs although it no longer is."""
    names: dict[str, dict[str, None]] = {}
    for each in configuration.connections:
        names[each.name] = dict.fromkeys(child.name for child in each.children)
    for connection, child in alive:
        names.setdefault(connection, {})
        if child:
            names[connection][child] = None
    return {connection: tuple(children) for connection, children in names.items()}


def resolve(name: str, names: Known) -> Named:
    """What `name` stands for. Raises CommandError(NO_SUCH_OBJECT) when nothing or more than one thing does."""
    found = _candidates(name, names)
    # A connection and its only child of one name are the same thing to an operator.
    if len(found) == 2 and found[0].targets == found[1].targets:
        found = found[:1]
    if len(found) == 1:
        return found[0]
    if found:
        choice = " or ".join(str(each) for each in found)
        raise CommandError(ExitCode.NO_SUCH_OBJECT, f'"{name}" is ambiguous: write {choice}')
    raise CommandError(ExitCode.NO_SUCH_OBJECT, f'there is no connection or child "{name}"; {_listing(names)}')


def _candidates(name: str, names: Known) -> list[Named]:
    connection, slash, child = name.partition("/")
    if slash:
        children = names.get(connection, ())
        if connection in names and child in ("", "*"):
            return [Named(connection, children, whole=True)]
        return [Named(connection, (child,), whole=False)] if child in children else []
    found = [Named(name, names[name], whole=True)] if name in names else []
    return found + [Named(c, (name,), whole=False) for c, children in names.items() if name in children]


def _listing(names: Known) -> str:
    if not names:
        return "nothing is configured"
    return "configured: " + ", ".join(f"{c}/{k}" for c, children in names.items() for k in children or ("*",))
