"""Where a peer is and which of our addresses leads there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ironswan.control.protocol import CommandError
from ironswan.gateway import addresses
from ironswan.gateway.addresses import address_towards, choose_local, covers, host_to_initiate, ports
from ironswan.policy.connection import Connection, Settings

BARE = Connection("t", children=(), proposals=())
OWN = [ip_address(a) for a in ("192.0.2.1", "198.51.100.1", "2001:db8::1")]


@pytest.mark.parametrize(
    ("remote", "host"),
    [
        (("192.0.2.9",), "192.0.2.9"),
        (("%any",), None),
        (("0.0.0.0", "::"), None),
        (("10.0.0.0/8", "10.0.0.1-10.0.0.9"), None),
        (("10.0.0.0/8", "vpn.example"), "vpn.example"),
        (("vpn-1.example",), "vpn-1.example"),
    ],
)
def test_first_remote_address_that_is_one_host_is_initiated_to(remote: tuple[str, ...], host: str | None) -> None:
    assert host_to_initiate(replace(BARE, remote_addrs=remote)) == host


@pytest.mark.parametrize(
    ("text", "address", "holds"),
    [
        ("%any", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.0/24", "192.0.2.1", True),
        ("192.0.2.0/24", "2001:db8::1", False),
        ("192.0.2.5-192.0.2.9", "192.0.2.7", True),
        ("192.0.2.5-192.0.2.9", "192.0.2.1", False),
        ("vpn.example", "192.0.2.1", False),
    ],
)
def test_configured_address_holds(text: str, address: str, holds: bool) -> None:
    assert covers(text, ip_address(address)) is holds


def test_routed_address_is_taken_where_the_configuration_allows_it() -> None:
    assert choose_local(("%any",), OWN[1], OWN) == OWN[1]
    assert choose_local(("192.0.2.1",), OWN[1], OWN) == OWN[0]
    assert choose_local(("192.0.2.0/24",), OWN[1], OWN) == OWN[0]
    assert choose_local(("192.0.2.1", "2001:db8::1"), OWN[2], OWN) == OWN[2]
    assert choose_local(("%any",), None, OWN) is None


def test_kernel_says_which_address_leads_there() -> None:
    assert address_towards(ip_address("127.0.0.1"), 0) == ip_address("127.0.0.1")


def test_peer_at_another_port_gets_our_port_with_the_marker() -> None:
    assert ports(BARE, Settings()) == (500, 500)
    assert ports(replace(BARE, remote_port=4500), Settings()) == (4500, 4500)
    assert ports(replace(BARE, local_port=4500), Settings()) == (4500, 500)


def test_connection_without_a_host_cannot_be_initiated() -> None:
    with pytest.raises(CommandError, match="waits for the peer"):
        asyncio.run(addresses.endpoints(BARE, Settings(), OWN, 0))


def test_name_nobody_knows_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> list[object]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", fail)
    with pytest.raises(CommandError, match=r"cannot find the address of vpn\.example: Name or service not known"):
        asyncio.run(addresses.resolve("vpn.example"))


def test_every_address_of_a_name_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (2, 2, 17, "", ("192.0.2.9", 0)),
        (2, 2, 17, "", ("192.0.2.9", 0)),
        (10, 2, 17, "", ("2001:db8::9", 0, 0, 0)),
    ]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: found)
    assert asyncio.run(addresses.resolve("vpn.example")) == (ip_address("192.0.2.9"), ip_address("2001:db8::9"))


def names(monkeypatch: pytest.MonkeyPatch, **known: str) -> None:
    def look(host: str, *_: object, **__: object) -> list[object]:
        if host not in known:
            raise OSError(-2, "Name or service not known")
        return [(2, 2, 17, "", (known[host], 0))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", look)


def test_local_name_stands_for_the_addresses_of_this_host_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, moon="192.0.2.1", sun="192.0.2.9")
    assert asyncio.run(addresses.named_here(("moon", "198.51.100.0/24"), OWN)) == ("192.0.2.1", "198.51.100.0/24")
    assert asyncio.run(addresses.named_here(("moon", "sun", "nobody"), OWN)) == ("192.0.2.1",)


@pytest.mark.parametrize(("name", "words"), [("sun", "sun has no address of this host"), ("nobody", "Name or service")])
def test_local_name_that_is_not_ours_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    names(monkeypatch, sun="192.0.2.9")
    with pytest.raises(CommandError, match=words):
        asyncio.run(addresses.named_here((name,), OWN))


def test_connection_is_initiated_from_the_local_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, moon="127.0.0.1")
    own = [ip_address("127.0.0.1")]
    connection = replace(BARE, local_addrs=("moon",), remote_addrs=("127.0.0.2",))
    local, _ = asyncio.run(addresses.endpoints(connection, Settings(), own, 0))
    assert str(local.address) == "127.0.0.1"
