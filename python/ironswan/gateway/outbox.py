"""What leaves, and when: no message before our own routes are in place, and no Child SA whose routes cannot be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ironswan.gateway.gateway import Gateway
    from ironswan.gateway.log import RateLimit
    from ironswan.gateway.policies import Target
    from ironswan.ike.types import Datagram

log = logging.getLogger("ironswan.gateway")


class Outbox:
    """Datagrams on their way to peers."""

    def __init__(self, gateway: Gateway, limit: RateLimit) -> None:
        """Nothing waits."""
        self._gateway = gateway
        self._limit = limit
        self._waiting: list[Datagram] = []
        self._task: asyncio.Task[None] | None = None
        self._ended: set[int] = set()
        self.refused: dict[Target, str] = {}
        """Children whose last SA was ended because packets could have left in clear, and why."""

    def post(self, datagrams: Iterable[Datagram]) -> None:
        """Send these; the peer must not hear of an SA before our routes keep its packets from leaving in clear."""
        self._waiting += datagrams
        if self._task is not None and not self._task.done():
            return  # they leave with what waits already
        if self._gateway.protection.pending:
            self._task = self._gateway.loop.create_task(self._send_when_protected())
        else:
            self._flush()

    async def settled(self) -> None:
        """Wait until everything has left, and what cannot be protected is being ended."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})
        await self._gateway.protection.settled()

    async def _send_when_protected(self) -> None:
        protection = self._gateway.protection
        await protection.settled()
        self._end_unprotected()
        # What came meanwhile is looked at too, before any of it leaves.
        while protection.pending:
            await protection.settled()
            self._end_unprotected()
        self._flush()

    def _end_unprotected(self) -> None:
        """Child SAs whose packets would take another way than the TUN are worse than none: somebody relies on them."""
        gateway = self._gateway
        if gateway.protection.complete:
            return
        self._ended &= {entry.child.child_id for entry in gateway.children}
        for entry in gateway.children:
            child = entry.child
            reason = gateway.protection.obstacle(child.ts_remote) if gateway.policies.steers(entry.target) else None
            if reason is None or child.child_id in self._ended:
                continue
            self._ended.add(child.child_id)
            self.refused[entry.target] = reason
            log.error("%s/%s is ended, for its packets would leave in clear: %s", *entry.target, reason)
            gateway.command(partial(gateway.manager.delete_child, child.child_id))
            gateway.upkeep.unprotected(entry.target)

    def _flush(self) -> None:
        datagrams, self._waiting = self._waiting, []
        for datagram in datagrams:
            self._send(datagram)

    def _send(self, datagram: Datagram) -> None:
        gateway, local, remote = self._gateway, datagram.local, datagram.remote
        sent = gateway.dataplane.send(str(local.address), local.port, str(remote.address), remote.port, datagram.data)
        if not sent and (more := self._limit.admit("send", gateway.now)) is not None:
            log.warning("the kernel does not send from %s to %s%s", local, remote, more)
