"""The life of the gateway process: configuration, data plane, network, control socket, signals; the same backwards."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ironswan.config import load
from ironswan.control.protocol import CommandError, ExitCode
from ironswan.control.server import ControlServer, claim
from ironswan.errors import ConfigurationError
from ironswan.gateway import log as logs
from ironswan.gateway.commands import Commands
from ironswan.gateway.gateway import Gateway
from ironswan.gateway.hardening import harden
from ironswan.gateway.mtu import LARGEST_MTU, fitting_mtu
from ironswan.gateway.netlink import MARK, Netlink
from ironswan.gateway.upkeep import unstartable

if TYPE_CHECKING:
    from ironswan.dataplane.port import DataPlane
    from ironswan.policy.connection import Configuration, Settings

GOODBYE_SECONDS = 2.0
TUN = Path("/dev/net/tun")
log = logging.getLogger("ironswan.gateway")


async def run(path: Path, socket: Path, *, tun_name: str = "ipsec0") -> int:
    """Run a gateway until SIGTERM, SIGINT or the command `stop`; returns the exit code."""
    harden()
    logs.configure()
    try:
        configuration = load(path)
        claim(socket)
        return await _with_dataplane(configuration, path, socket, tun_name)
    except ConfigurationError as error:
        for problem in error.problems:
            log.error("%s", problem)
        return ExitCode.CONFIGURATION
    except CommandError as error:
        log.error("%s", error.message)
        return error.code


async def _with_dataplane(configuration: Configuration, path: Path, socket: Path, tun_name: str) -> int:
    # Whoever asked us to stop waits until the control connection ends: after everything else.
    async with contextlib.AsyncExitStack() as last:
        dataplane = open_dataplane(configuration.settings, tun_name)
        network = Netlink()
        refuse = True
        try:
            mtu = await _set_up(network, dataplane, configuration)
            gateway = Gateway(configuration, dataplane, network, mark=MARK, mtu=mtu, stale=network.stale)
            code = await _serve(gateway, path, socket, last)
            refuse = code is ExitCode.FAILED
            return code
        except CommandError:
            # It never served: only what a dead gateway left is still to be refused.
            refuse = bool(network.stale)
            raise
        finally:
            # A gateway that failed leaves what a killed one leaves: what was protected stays refused.
            await network.tear_down(keep_refusing=refuse)
            dataplane.close()


async def _set_up(network: Netlink, dataplane: DataPlane, configuration: Configuration) -> int:
    name, index = dataplane.interface()
    try:
        mtu = fitting_mtu(configuration, await network.outer_mtu(index))
        await network.set_up(index, mtu, (configuration.settings.port, configuration.settings.port_nat_t))
    except CommandError:
        raise
    except Exception as error:  # whatever netlink says, it is one sentence for the operator  # noqa: BLE001
        raise CommandError(ExitCode.PERMISSION, f"cannot set {name} up: {error}") from None
    return mtu


async def _serve(gateway: Gateway, path: Path, socket: Path, last: contextlib.AsyncExitStack) -> ExitCode:
    commands = Commands(gateway, path)
    server = ControlServer(socket, commands.handle)
    last.push_async_callback(server.stop)
    _on_signals(commands)
    for connection, child in unstartable(gateway.configuration):
        log.warning("%s/%s has a start action, but its connection names no peer to go to", connection, child)
    await gateway.start()
    await server.start()
    count, name = len(gateway.configuration.connections), gateway.dataplane.interface()[0]
    log.info("ready: %d connections, %s with MTU %d, control at %s", count, name, gateway.mtu, socket)
    stop = asyncio.ensure_future(commands.stop.wait())
    ends: set[asyncio.Future[Any]] = {stop, gateway.failed}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    failure = gateway.failed.result() if gateway.failed.done() else None
    log.info("ending") if failure is None else log.critical("%s; ending", failure)
    await server.close()
    await gateway.stop(GOODBYE_SECONDS if failure is None else 0.0)
    return ExitCode.OK if failure is None else ExitCode.FAILED


def _on_signals(commands: Commands) -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            await commands.reload()
        except CommandError:
            pass  # it has been logged
        except Exception:  # there is nobody else to tell
            log.exception("not reloaded, by a fault of ours")

    def hang_up() -> None:
        task = loop.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGTERM, commands.stop.set)
    loop.add_signal_handler(signal.SIGINT, commands.stop.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)


def open_dataplane(settings: Settings, tun_name: str) -> DataPlane:
    """Make the data plane. Raises CommandError with one sentence that says what is in the way."""
    try:
        from ironswan.dataplane import native
    except ImportError as error:
        raise CommandError(ExitCode.FAILED, f"the native module does not load: {error}") from None
    try:
        return native.open_dataplane(
            tun_name=tun_name,
            mtu=LARGEST_MTU,
            workers=settings.workers,
            ike_port=settings.port,
            nat_t_port=settings.port_nat_t,
            mark=MARK,
            nice=settings.nice,
            real_time=settings.real_time,
            busy_poll=settings.busy_poll,
            affinity=settings.affinity,
        )
    except OSError as error:
        raise CommandError(ExitCode.PERMISSION, obstacle(error, settings, tun_name)) from None
    except (ValueError, RuntimeError) as error:
        raise CommandError(ExitCode.FAILED, f"the data plane does not start: {error}") from None


def obstacle(error: OSError, settings: Settings, tun_name: str) -> str:
    """What keeps the data plane from starting, in one sentence that says what to do."""
    # An error that Rust gave more words to has its number in the text only.
    in_text = re.search(r"\(os error (\d+)\)", str(error))
    number = error.errno or (int(in_text[1]) if in_text else None)
    if not TUN.exists():
        return f"{TUN} is missing: load the tun module, or give the container the device (--device {TUN})"
    if number in (errno.EPERM, errno.EACCES):
        return "not permitted: a gateway needs root, or CAP_NET_ADMIN and the right to use ports below 1024"
    if number == errno.EBUSY:
        return (
            f"the interface {tun_name} is in use: another gateway runs in this network namespace, which is to be "
            f"stopped first, or it is somebody else's: remove it, or choose another name with --interface"
        )
    if number == errno.EADDRINUSE:
        return (
            f"UDP port {settings.port} or {settings.port_nat_t} is in use: another IKE daemon, or another gateway, "
            "runs in this network namespace"
        )
    return f"the data plane does not start: {error}"
