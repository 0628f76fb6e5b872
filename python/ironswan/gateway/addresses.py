"""Where a peer is and which address of ours leads there: names to addresses off the loop, then a routing lookup."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.ike.types import Endpoint
from ironswan.policy.connection import Connection, Settings
from ironswan.policy.hosts import ANY, is_host, is_range, literal
from ironswan.policy.selectors import Address

RESOLVE_SECONDS = 5.0


def host_to_initiate(connection: Connection) -> str | None:
    """The first configured remote address that is one host; None: we can only wait for the peer."""
    return next((text for text in connection.remote_addrs if is_host(text)), None)


def covers(text: str, address: Address) -> bool:
    """Whether a configured local address, prefix, range or `%any` holds `address`."""
    if text in ANY:
        return True
    if is_range(text):
        start, _, end = (literal(part.strip()) for part in text.partition("-"))
        return (
            start is not None
            and end is not None
            and start.version == address.version
            and (int(start) <= int(address) <= int(end))
        )
    with contextlib.suppress(ValueError):
        network = ip_network(text, strict=False)
        return network.version == address.version and address in network
    return False


async def resolve(host: str) -> tuple[Address, ...]:
    """Addresses of a literal or a host name. Raises CommandError when there are none."""
    if (address := literal(host)) is not None:
        return (address,)
    try:
        found = await asyncio.wait_for(_lookup(host), RESOLVE_SECONDS)
    except TimeoutError:
        raise CommandError(ExitCode.TIMEOUT, f"no answer to the question where {host} is") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(ExitCode.FAILED, f"cannot find the address of {host}: {reason}") from None
    return tuple(dict.fromkeys(ip_address(text.partition("%")[0]) for text in found))


def _lookup(host: str) -> asyncio.Future[list[str]]:
    """The system's resolver in a daemon thread: one that hangs keeps neither the loop nor the process's end waiting."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def done(found: list[str], error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(found)
        else:
            future.set_exception(error)

    def run() -> None:
        found: list[str] = []
        failure: Exception | None = None
        try:
            found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)]
        except (OSError, UnicodeError) as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done, found, failure)

    threading.Thread(target=run, name="resolver", daemon=True).start()
    return future


def address_towards(remote: Address, mark: int) -> Address | None:
    """Our address on the way to `remote`, by the kernel's routing of our marked packets; None: no route."""
    family = socket.AF_INET6 if remote.version == 6 else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        if mark:
            with contextlib.suppress(PermissionError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        probe.connect((str(remote), 500))
        return ip_address(probe.getsockname()[0].partition("%")[0])
    return None


def choose_local(configured: Sequence[str], routed: Address | None, own: Sequence[Address]) -> Address | None:
    """Our address: the routed one where the configuration allows it, else the first allowed one of this host."""
    if routed is not None and any(covers(text, routed) for text in configured):
        return routed
    version = routed.version if routed is not None else None
    for text in configured:
        address = literal(text)
        if address is not None and address.version == (version or address.version):
            return address
    allowed = (a for a in own if a.version == version and any(covers(text, a) for text in configured))
    return next(allowed, None)


async def named_here(configured: Sequence[str], own: Sequence[Address]) -> tuple[str, ...]:
    """Local addresses with each host name as the addresses of this host that it has.

    Raises CommandError for a name that cannot be resolved, or is another host's, unless there is something beside it.
    """
    found: list[str] = []
    failure: CommandError | None = None
    for text in configured:
        if not is_host(text) or literal(text) is not None:
            found.append(text)
            continue
        try:
            mine = [address for address in await resolve(text) if address in own]
        except CommandError as error:
            failure = error
            continue
        if not mine:
            failure = CommandError(ExitCode.FAILED, f"local_addrs: {text} has no address of this host")
        found += map(str, mine)
    if failure is not None and not found:
        raise failure
    return tuple(found)


def ports(connection: Connection, settings: Settings) -> tuple[int, int]:
    """Our and the peer's port. A peer that is not at 500 expects the non-ESP marker, which goes with our other port."""
    nat_t = connection.remote_port != 500 or connection.local_port == settings.port_nat_t
    return (settings.port_nat_t if nat_t else settings.port), connection.remote_port


async def endpoints(
    connection: Connection, settings: Settings, own: Sequence[Address], mark: int
) -> tuple[Endpoint, Endpoint]:
    """Our and the peer's endpoint for a new IKE SA. Raises CommandError with what is missing."""
    host = host_to_initiate(connection)
    if host is None:
        raise CommandError(
            ExitCode.FAILED,
            f"{connection.name} cannot be initiated from here: its remote_addrs name no host, so it waits for the peer",
        )
    local_port, remote_port = ports(connection, settings)
    configured = await named_here(connection.local_addrs, own)
    for remote in await resolve(host):
        routed = address_towards(remote, mark)
        local = choose_local(configured, routed, own)
        if local is not None and local.version == remote.version:
            return Endpoint(local, local_port), Endpoint(remote, remote_port)
    raise CommandError(ExitCode.FAILED, f"no route to {host} from {', '.join(connection.local_addrs)}")
