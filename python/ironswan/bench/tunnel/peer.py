"""What a peer of the benchmark is: the programs it needs, and how its tunnel is raised between two sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ironswan.lab.namespaces import Namespace
from ironswan.lab.traffic import Host

OVERHEAD = 80


@dataclass(frozen=True, slots=True)
class Site:
    """One end of the link: its namespace, its address there and its address inside the tunnel."""

    name: str
    namespace: Namespace
    outer: str
    inner: str


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a tunnel is raised: two sites, the link's MTU, a private folder, and what is to be undone at the end."""

    left: Site
    right: Site
    mtu: int
    folder: Path
    stack: ExitStack

    @property
    def pairs(self) -> tuple[tuple[Site, Site], tuple[Site, Site]]:
        """Each site with the one opposite."""
        return (self.left, self.right), (self.right, self.left)

    @property
    def inner_mtu(self) -> int:
        """An MTU inside the tunnel that leaves room for what any of the peers adds."""
        return self.mtu - OVERHEAD


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel that stands: the two hosts that talk through it and the process numbers of its gateways."""

    left: Host
    right: Host
    gateways: tuple[int, ...] = ()


Programs = Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to carry packets from one site to the other.

    `needs` has, for each program, the names it may go by; the first one is how `raise_tunnel` looks it up. `version`
    are the words after the first program that make it say its version; `own` when that version is ours. `locate`
    finds the programs, in place of the path, and may raise NotFound.
    """

    name: str
    title: str
    cipher: str
    raise_tunnel: Callable[[Ground, Programs], Tunnel]
    needs: tuple[tuple[str, ...], ...] = ()
    how_to_get: str = ""
    version: tuple[str, ...] = ("--version",)
    own: bool = False
    locate: Callable[[], Programs] | None = None


class NotFound(Exception):
    """The peer is not on this machine; the text says how to get it."""
