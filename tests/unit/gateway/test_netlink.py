"""Setting up the machine's network, of which this kernel only keeps a record: one gateway each, none without rules."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.gateway import netlink, rules
from ironswan.gateway.netlink import CLAIM, Netlink
from ironswan.gateway.routes import Kind, Route, VersionOff


class Refused(Exception):
    """As pyroute2 has it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Entry(dict[str, Any]):
    """What pyroute2 gives back."""

    def get_attr(self, name: str) -> object:
        return self.get(name)


LEFT_BEHIND = Entry(proto=rules.PROTOCOL, RTA_TABLE=netlink.TABLE, RTA_DST="10.2.0.0", dst_len=16, type=7)
LINKS = [
    Entry(index=index, flags=1, IFLA_IFNAME=name, IFLA_MTU=mtu)
    for index, name, mtu in ((1, "eth0", 1500), (7, "ipsec0", 1422), (8, "tun-a", 1326))
]


class Kernel:
    """Records what changes something; `holder` is the interface that has the claim, `refuses` what it says to rules."""

    def __init__(self, *, holder: str = "", refuses: int = 0, refuses_routes: int = 0, old: bool = False) -> None:
        self.holder = holder
        self.refuses = refuses
        self.refuses_routes = refuses_routes
        self.old = old
        self.changes: list[tuple[str, ...]] = []

    def link(self, verb: str, **arguments: object) -> list[dict[str, object]]:
        if verb == "get":
            return [{"ifname": self.holder}]
        if verb == "property_add" and (self.holder or self.old):
            raise Refused(errno.EEXIST if self.holder else errno.EOPNOTSUPP)
        self.changes.append(("link", verb, *map(str, arguments.values())))
        return []

    def rule(self, verb: str, **_: object) -> None:
        if self.refuses:
            raise Refused(self.refuses)
        self.changes.append(("rule", verb))

    def route(self, verb: str, **arguments: object) -> None:
        if self.refuses_routes:
            raise Refused(self.refuses_routes)
        self.changes.append(("route", verb, str(arguments["dst"])))

    def get_rules(self, family: int) -> list[Entry]:
        return []

    def get_routes(self, family: int, table: int) -> list[Entry]:
        return [LEFT_BEHIND] if family == socket.AF_INET else []

    def get_links(self) -> list[Entry]:
        return LINKS

    def close(self) -> None:
        """Nothing is open."""


def on(kernel: Kernel, work: Callable[[Netlink], Awaitable[object]], **end: bool) -> Any:
    async def run() -> object:
        network = Netlink()
        network._route = kernel  # the only door to the kernel
        try:
            return await work(network)
        finally:
            await network.tear_down(**end)

    return asyncio.run(run())


async def set_up(network: Netlink) -> Netlink:
    await network.set_up(7, 1422, (500, 4500))
    return network


def test_our_interface_is_claimed_before_anything_is_changed() -> None:
    kernel = Kernel()
    network = on(kernel, set_up)
    assert kernel.changes[0] == ("link", "property_add", "7", CLAIM)
    assert network.stale == (ip_network("10.2.0.0/16"),)


def test_second_gateway_changes_nothing_and_names_the_first() -> None:
    kernel = Kernel(holder="ipsec9")
    with pytest.raises(CommandError, match="another gateway runs .* interface ipsec9") as refused:
        on(kernel, set_up)
    assert refused.value.code is ExitCode.PERMISSION
    assert kernel.changes == []


def test_kernel_without_second_names_has_a_gateway_all_the_same() -> None:
    kernel = Kernel(old=True)
    on(kernel, set_up)
    assert ("rule", "add") in kernel.changes
    assert kernel.changes[-1] == ("route", "del", "10.2.0.0/16")


def test_kernel_that_refuses_our_rules_has_no_gateway() -> None:
    kernel = Kernel(refuses=errno.EOPNOTSUPP)
    with pytest.raises(CommandError, match=r"IPv4 \(Operation not supported\).*CONFIG_IP_MULTIPLE_TABLES") as no:
        on(kernel, set_up, keep_refusing=True)
    assert no.value.code is ExitCode.PERMISSION
    assert not any(change[0] == "route" for change in kernel.changes)


def test_family_that_is_off_has_no_rules_and_takes_no_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_is_on", lambda family: family == socket.AF_INET)
    route = Route(ip_network("2001:db8::/32"), Kind.UNREACHABLE)

    async def work(network: Netlink) -> object:
        await set_up(network)
        return network.families, await network.apply(frozenset((route,)), frozenset())

    assert on(Kernel(), work) == ({4}, {route: "IPv6 is off on this host"})


@pytest.mark.parametrize("kernel_has_it", [True, False])
def test_family_whose_sockets_we_may_not_have_is_on_when_the_kernel_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernel_has_it: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "not permitted to us")

    monkeypatch.setattr(netlink.socket, "socket", refuse)
    monkeypatch.setattr(netlink, "_IPV6", tmp_path if kernel_has_it else tmp_path / "none")
    assert netlink._is_on(socket.AF_INET6) is kernel_has_it
    assert not netlink._is_on(socket.AF_INET)


@pytest.mark.parametrize(("kind", "off"), [(Kind.TUN, True), (Kind.UNREACHABLE, False)])
def test_only_a_route_into_the_tun_may_be_missing_because_ipv6_is_off(kind: Kind, off: bool) -> None:
    route = Route(ip_network("2001:db8::/32"), kind)

    async def work(network: Netlink) -> dict[Route, str]:
        network.families = frozenset((6,))
        return await network.apply(frozenset((route,)), frozenset())

    failed = on(Kernel(refuses_routes=errno.EACCES), work)
    assert isinstance(failed[route], VersionOff) is off


def test_none_of_our_interfaces_is_a_link_that_the_mtu_must_fit() -> None:
    assert on(Kernel(), lambda network: network.outer_mtu(7, ("tun-a",))) == 1500
    assert on(Kernel(), lambda network: network.outer_mtu(7)) == 1326
