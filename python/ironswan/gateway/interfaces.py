"""Interfaces of their own for children that have one: routes, not policies, decide what goes in.

What is routed into such an interface is protected or dropped, never sent in clear; what is routed elsewhere is the
operator's, or a routing daemon's, affair. So nothing of these children is in our routing table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.control.protocol import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironswan.dataplane.port import DataPlane
    from ironswan.policy.connection import Configuration

DEFAULT = 0


class Interfaces:
    """Which child has which interface."""

    def __init__(self, dataplane: DataPlane) -> None:
        """There is the one that policies steer packets into."""
        self._dataplane = dataplane
        self._ids: dict[str, int] = {}
        self._names: dict[tuple[str, str], str] = {}

    def configure(self, configuration: Configuration, mtu: int) -> None:
        """Make what is configured and not there. Raises CommandError, and then nothing has changed."""
        names = {
            (connection.name, child.name): child.interface
            for connection in configuration.connections
            for child in connection.children
            if child.interface
        }
        made: dict[str, int] = {}
        try:
            for name in dict.fromkeys(names.values()):
                if name not in self._ids:
                    made[name] = self._dataplane.add_interface(name, mtu)
        except OSError as error:
            for number in made.values():
                self._dataplane.remove_interface(number)
            text = f"cannot make the interface {name}: {error}; is there another of this name?"
            raise CommandError(ExitCode.PERMISSION, text) from None
        self._ids |= made
        self._names = names

    def tidy(self, used: Iterable[int]) -> None:
        """Remove those that are neither configured nor among the numbers in use."""
        keep = {*self._names.values()}
        for name in [name for name, number in self._ids.items() if name not in keep and number not in set(used)]:
            self._dataplane.remove_interface(self._ids.pop(name))

    def of(self, target: tuple[str, str]) -> int:
        """The number of a child's interface; 0 is the one for all that have none of their own."""
        return self._ids.get(self._names.get(target, ""), DEFAULT)

    def names(self) -> tuple[str, ...]:
        """All that were made."""
        return tuple(self._ids)

    def name(self, number: int) -> str:
        """The name of an interface."""
        names = {each: name for name, each in self._ids.items()}
        return names.get(number) or self._dataplane.interface()[0]
