"""The ways to the peers: next hops of plain ESP, and how long packets may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.gateway.icmp import Reports, TooBig
from ironswan.gateway.next_hops import NextHops
from ironswan.gateway.path_mtu import PathMtus

if TYPE_CHECKING:
    from ironswan.gateway.gateway import Gateway


class Paths:
    """Keeps what the data plane knows of the paths in step with the machine and the network."""

    def __init__(self, gateway: Gateway) -> None:
        """Nothing is asked and nobody heard before `start`."""
        self._gateway = gateway
        self.next_hops = NextHops(gateway.dataplane, gateway.children, gateway.network)
        self.mtus = PathMtus(gateway.dataplane, gateway.children, gateway.network, self._configured)
        self._reports = Reports(self._report)

    def start(self) -> None:
        """Hear what routers report."""
        self._reports.start()

    def stop(self) -> None:
        """Hear nothing more."""
        self._reports.stop()

    def tick(self, now: float) -> None:
        """Ask what it is time to ask."""
        self.next_hops.tick(now)
        self.mtus.tick(now)

    def installed(self, child_id: int, now: float) -> None:
        """There is a new SA."""
        self.mtus.changed(child_id)
        self.tick(now)

    def moved(self, ike_id: int, now: float) -> None:
        """Addresses of an IKE SA's children have changed."""
        self.next_hops.moved()
        children = self._gateway.children
        self.mtus.changed(*(entry.child.child_id for entry in children if entry.child.ike_id == ike_id))
        self.mtus.tick(now)

    def _configured(self, name: str) -> int:
        connection = self._gateway.configuration.connection(name)
        return connection.path_mtu if connection else 0

    def _report(self, report: TooBig) -> None:
        self.mtus.report(report, self._gateway.now)
