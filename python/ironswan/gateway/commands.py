"""What may be asked on the control socket: each command checks its arguments, asks the gateway and waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ironswan.config import load
from ironswan.control.protocol import SCHEMA, CommandError, ExitCode, JsonObject
from ironswan.errors import ConfigurationError
from ironswan.gateway import status
from ironswan.gateway.addresses import host_to_initiate
from ironswan.gateway.names import Known, Named, known, resolve
from ironswan.gateway.operations import all_of
from ironswan.ike import events as ev
from ironswan.ike.types import IkeSaStatus, Outcome

if TYPE_CHECKING:
    from ironswan.control.server import Progress
    from ironswan.gateway.gateway import Gateway
    from ironswan.policy.connection import Configuration, Connection

DEFAULT_TIMEOUT = 30.0
LONGEST_TIMEOUT = 3600.0
NO_ANSWER_AFTER = 3.0
_ALIVE = ("installed", "rekeying")
# What the data plane is made with.
_NEED_RESTART = ("port", "port_nat_t", "workers", "nice", "real_time", "busy_poll", "affinity")
log = logging.getLogger("ironswan.gateway")
Command = Callable[[JsonObject, "Progress"], Awaitable[JsonObject]]


class Commands:
    """The commands of one gateway. `stop` is set when somebody asked it to end."""

    def __init__(self, gateway: Gateway, path: Path) -> None:
        """`path`: the configuration file `reload` reads again."""
        self._gateway = gateway
        self._path = path
        self._started = gateway.now
        self.stop = asyncio.Event()
        self._table: dict[str, Command] = {
            "up": self._up,
            "down": self._down,
            "status": self._status,
            "rekey": self._rekey,
            "reload": self._reload,
            "stop": self._stop,
        }

    async def handle(self, request: JsonObject, progress: Progress) -> JsonObject:
        """One request. Raises CommandError."""
        command = self._table.get(str(request.get("command")))
        if command is None:
            raise CommandError(ExitCode.USAGE, f"no such command; there are {', '.join(self._table)}")
        return {"schema": SCHEMA, **await command(request, progress)}

    def _named(self, request: JsonObject) -> Named:
        name = request.get("name")
        if not isinstance(name, str) or not name:
            raise CommandError(ExitCode.USAGE, "name a connection or a child")
        return resolve(name, self._names())

    def _names(self) -> Known:
        alive = [(sa.connection, child.name) for sa in self._gateway.snapshot() for child in sa.children]
        alive += [(sa.connection, "") for sa in self._gateway.snapshot()]
        return known(self._gateway.configuration, alive)

    async def _up(self, request: JsonObject, progress: Progress) -> JsonObject:
        named, timeout = self._named(request), _timeout(request)
        if not named.targets:
            raise CommandError(ExitCode.NO_SUCH_OBJECT, f"{named.connection} has no children to bring up")
        begun = self._gateway.now
        with self._told(named, progress):
            futures = [await self._gateway.bring_up(target) for target in named.targets]
            outcomes = await all_of(futures, timeout, self._late(named, timeout))
        await self._gateway.outbox.settled()
        self._check_still_up(named)
        took = round((self._gateway.now - begun) * 1000, 3)
        message = outcomes[-1].message
        return {"name": named.label, "children": self._children(named), "handshake_ms": took, "message": message}

    def _check_still_up(self, named: Named) -> None:
        """What could not be protected was ended at once, by us or by the peer. Raises CommandError."""
        for target in named.targets:
            if reason := self._gateway.outbox.refused.get(target):
                raise CommandError(ExitCode.PERMISSION, f"{'/'.join(target)} is down again: {reason}")
            if not self._gateway.children.serves(target):
                text = f"{'/'.join(target)} is down again: the peer deleted it at once, and its log says why"
                raise CommandError(ExitCode.PEER_REFUSED, text)

    def _late(self, named: Named, timeout: float) -> str:
        connection = self._gateway.configuration.connection(named.connection)
        peer = (host_to_initiate(connection) if connection else None) or "the peer"
        return (
            f"no Child SA with {peer} within {timeout:g} s; the attempt goes on: `ironswan status` shows it, "
            f"`ironswan down {named.connection}` ends it"
        )

    @contextlib.contextmanager
    def _told(self, named: Named, progress: Progress) -> Iterator[None]:
        """Tell the caller what happens on the way."""

        def watch(event: ev.Event) -> None:
            if isinstance(event, ev.IkeEstablished) and event.connection == named.connection:
                progress(f"authenticated with {event.remote}: {event.suite}")
            elif isinstance(event, ev.ChildInstalled) and event.child.connection == named.connection:
                progress(f"{event.child.name}: {event.child.suite}")

        progress(f"setting up {named.label}")
        quiet = self._gateway.loop.call_later(NO_ANSWER_AFTER, progress, "no answer yet, trying again")
        self._gateway.watchers.add(watch)
        try:
            yield
        finally:
            quiet.cancel()
            self._gateway.watchers.discard(watch)

    def _children(self, named: Named) -> list[JsonObject]:
        document = status.document(self._gateway, self._started)
        sas = document["ike_sas"]
        assert isinstance(sas, list)
        mine = (sa for sa in sas if sa["connection"] == named.connection)
        return [child for sa in mine for child in sa["children"] if child["name"] in named.children]

    async def _down(self, request: JsonObject, _progress: Progress) -> JsonObject:
        named, timeout = self._named(request), _timeout(request)
        gateway = self._gateway
        was_trying = [t for t in named.targets if t in gateway.upkeep.trying()]
        for target in named.targets:
            gateway.upkeep.forget(target, keep_configured_trap=True)
        sas = self._sas(named)
        running = [c.id for sa in sas for c in sa.children if c.name in named.children and c.state in _ALIVE]
        attempts = [sa.id for sa in sas if named.whole or not (sa.children or sa.state == "established")]
        if not running and not attempts and not was_trying:
            await gateway.protection.settled()
            raise CommandError(ExitCode.NO_SUCH_OBJECT, f"{named.label} is not up")
        if attempts and (named.whole or not running):
            futures = [gateway.command(partial(gateway.manager.delete_ike, i)) for i in attempts]
        else:
            futures = [gateway.command(partial(gateway.manager.delete_child, i)) for i in running]
        await all_of(futures, timeout, f"the peer did not confirm within {timeout:g} s")
        await gateway.protection.settled()
        return {"name": named.label}

    def _sas(self, named: Named) -> list[IkeSaStatus]:
        return [sa for sa in self._gateway.snapshot() if sa.connection == named.connection]

    async def _rekey(self, request: JsonObject, _progress: Progress) -> JsonObject:
        named, timeout = self._named(request), _timeout(request)
        kind = request.get("kind", "child")
        gateway, sas = self._gateway, self._sas(named)
        futures: list[asyncio.Future[Outcome]]
        if kind == "ike":
            ids = [sa.id for sa in sas if sa.state == "established"]
            futures = [gateway.command(partial(gateway.manager.rekey_ike, i)) for i in ids]
        elif kind == "child":
            ids = [c.id for sa in sas for c in sa.children if c.name in named.children and c.state == "installed"]
            futures = [gateway.command(partial(gateway.manager.rekey_child, i)) for i in ids]
        else:
            raise CommandError(ExitCode.USAGE, 'kind is "child" or "ike"')
        if not futures:
            raise CommandError(ExitCode.NO_SUCH_OBJECT, f"{named.label} is not up, so there is nothing to rekey")
        outcomes = await all_of(futures, timeout, f"the peer did not answer within {timeout:g} s")
        return {"name": named.label, "kind": kind, "message": outcomes[-1].message}

    async def _status(self, _request: JsonObject, _progress: Progress) -> JsonObject:
        return status.document(self._gateway, self._started)

    async def _stop(self, _request: JsonObject, _progress: Progress) -> JsonObject:
        self.stop.set()
        return {}

    async def _reload(self, _request: JsonObject, _progress: Progress) -> JsonObject:
        return await self.reload()

    async def reload(self) -> JsonObject:
        """Read the configuration again; an error in it changes nothing. Raises CommandError, which has been logged."""
        try:
            new = load(self._path)
            self._gateway.interfaces.configure(new, self._gateway.mtu)
        except ConfigurationError as error:
            problems = [str(problem) for problem in error.problems]
            raise self._not_reloaded(
                CommandError(ExitCode.CONFIGURATION, "; ".join(problems), problems=problems)
            ) from None
        except CommandError as error:
            raise self._not_reloaded(error) from None
        return await self._adopt(new)

    @staticmethod
    def _not_reloaded(error: CommandError) -> CommandError:
        """What to raise, once the log has what is wrong, a line for each problem."""
        problems = error.details.get("problems")
        for problem in problems if isinstance(problems, list) else [error.message]:
            log.error("%s", problem)
        log.error("not reloaded: the gateway goes on with the configuration it had")
        text = f"not reloaded, the running configuration stays: {error.message}"
        return CommandError(error.code, text, **error.details)

    async def _adopt(self, new: Configuration) -> JsonObject:
        gateway, old = self._gateway, self._gateway.configuration
        gateway.adopt(new)
        self._end_removed()
        gateway.tidy_interfaces()
        await gateway.fit_mtu()
        await gateway.protection.settled()
        changes = _changes(old.connections, new.connections)
        restart = [key for key in _NEED_RESTART if getattr(old.settings, key) != getattr(new.settings, key)]
        if restart:
            log.warning("%s changed: that takes effect when the gateway is started again", ", ".join(restart))
        log.info("reloaded: %s", ", ".join(f"{len(names)} {word}" for word, names in changes.items()))
        return {**changes, "needs_restart": restart}

    def _end_removed(self) -> None:
        """SAs of what is no longer configured go; those of what changed stay as they were negotiated."""
        gateway = self._gateway
        for sa in gateway.snapshot():
            connection = gateway.configuration.connection(sa.connection)
            if connection is None:
                gateway.command(partial(gateway.manager.delete_ike, sa.id))
                continue
            for child in sa.children:
                if connection.child(child.name) is None:
                    gateway.command(partial(gateway.manager.delete_child, child.id))


def _changes(old: Iterable[Connection], new: Iterable[Connection]) -> dict[str, list[str]]:
    before = {c.name: c for c in old}
    after = {c.name: c for c in new}
    return {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(n for n in after.keys() & before.keys() if after[n] != before[n]),
        "removed": sorted(before.keys() - after.keys()),
    }


def _timeout(request: JsonObject) -> float:
    value = request.get("timeout", DEFAULT_TIMEOUT)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_TIMEOUT:
        raise CommandError(ExitCode.USAGE, f"timeout is a number of seconds up to {LONGEST_TIMEOUT:g}")
    return float(value)
