"""The next hop of plain ESP as the kernel of this machine tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from ironswan.gateway.netlink import Netlink
from ironswan.gateway.next_hops import NextHop
from ironswan.lab.namespaces import Namespace, connect

FAR = "203.0.113.9"
LINKS = {"one": "192.0.2", "two": "198.51.100"}
ADDRESS = {"one": "020000000001", "two": "020000000002"}


@dataclass(frozen=True)
class Host:
    """A host with two links, each with a router behind it; link `two` is for what comes from its own address."""

    namespace: Namespace
    indices: dict[str, int]

    def asked(self, local: str, remote: str = FAR) -> NextHop | None:
        """What the gateway's netlink says."""

        async def ask() -> NextHop | None:
            network = Netlink()
            try:
                return await network.next_hop(ip_address(local), ip_address(remote))
            finally:
                await network.tear_down(keep_refusing=True)

        with self.namespace.entered():
            return asyncio.run(ask())

    def hop(self, link: str, mtu: int = 1500) -> NextHop:
        """The router behind a link."""
        return NextHop(self.indices[link], mtu, bytes.fromhex(ADDRESS[link]))


@pytest.fixture
def host(privileged: None) -> Iterator[Host]:
    with ExitStack() as stack:
        here, there = (stack.enter_context(Namespace(name)) for name in ("ipswit-host", "ipswit-routers"))
        for name, network in LINKS.items():
            connect(here, there, names=(name, name), addresses=(f"{network}.1/24", f"{network}.2/24"))
        with here.netlink() as netlink:
            indices = {name: netlink.link_lookup(ifname=name)[0] for name in LINKS}
            netlink.route("add", dst="default", gateway="192.0.2.2")
            netlink.route("add", dst="default", gateway="198.51.100.2", table=77)
            netlink.rule("add", src="198.51.100.1", src_len=32, table=77, priority=100)
            for name, network in LINKS.items():
                address = ":".join(ADDRESS[name][at : at + 2] for at in range(0, 12, 2))
                netlink.neigh("add", dst=f"{network}.2", ifindex=indices[name], lladdr=address, state="permanent")
        yield Host(here, indices)


def test_the_next_hop_is_the_router_that_the_rules_choose_for_our_address(host: Host) -> None:
    assert host.asked("192.0.2.1") == host.hop("one")
    assert host.asked("198.51.100.1") == host.hop("two")


def test_the_mtu_of_a_route_counts_where_it_has_one(host: Host) -> None:
    with host.namespace.netlink() as netlink:
        netlink.route("add", dst=f"{FAR}/32", gateway="192.0.2.2", metrics={"mtu": 1300})
    assert host.asked("192.0.2.1") == host.hop("one", 1300)


@pytest.mark.parametrize(
    ("local", "remote"),
    [("192.0.2.1", "192.0.2.77"), ("192.0.2.1", "192.0.2.1"), ("192.0.2.99", FAR)],
    ids=["a neighbour not heard of", "ourselves", "an address that is not ours"],
)
def test_what_the_kernel_does_not_know_has_no_next_hop(host: Host, local: str, remote: str) -> None:
    assert host.asked(local, remote) is None
