"""The path MTU of an SA: whom the gateway believes, for how long (RFC 4301 8.2, A13)."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from gateway_pairs import ADDRESS, Side, configuration, play

from ironswan.gateway.icmp import TooBig, read_v4, read_v6
from ironswan.gateway.path_mtu import BELIEVED_FOR

REMOTE = ip_address(ADDRESS["right"])
ESP_IN_UDP = struct.pack("!HHHH", 4500, 4500, 1400, 0) + bytes.fromhex("c0000001 00000007")


def quoted_v4(protocol: int, upper: bytes, fragment: int = 0) -> bytes:
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1420, 1, fragment, 64, protocol, 0, bytes(4), b"\xc0\0\2\2")
    return header + upper


def report_v4(quoted: bytes, mtu: int = 1300, code: int = 4) -> bytes:
    return b"\x45" + bytes(19) + struct.pack("!BBHHH", 3, code, 0, 0, mtu) + quoted


def report_v6(quoted: bytes, mtu: int = 1300, kind: int = 2) -> bytes:
    return struct.pack("!BBHI", kind, 0, 0, mtu) + quoted


def quoted_v6(protocol: int, upper: bytes) -> bytes:
    return struct.pack("!IHBB", 6 << 28, 1400, protocol, 64) + bytes(16) + ip_address("2001:db8::2").packed + upper


def test_a_report_names_the_peer_the_spi_and_the_mtu() -> None:
    v4, v6 = ip_address("192.0.2.2"), ip_address("2001:db8::2")
    assert read_v4(report_v4(quoted_v4(17, ESP_IN_UDP))) == TooBig(v4, 0xC0000001, 1300)
    assert read_v4(report_v4(quoted_v4(50, ESP_IN_UDP[8:]))) == TooBig(v4, 0xC0000001, 1300)
    assert read_v6(report_v6(quoted_v6(17, ESP_IN_UDP))) == TooBig(v6, 0xC0000001, 1300)
    assert read_v6(report_v6(quoted_v6(50, ESP_IN_UDP[8:]))) == TooBig(v6, 0xC0000001, 1300)


@pytest.mark.parametrize(
    "message",
    [
        report_v4(quoted_v4(17, ESP_IN_UDP[:8])),
        report_v4(quoted_v4(17, ESP_IN_UDP[:8] + bytes(8))),
        report_v4(quoted_v4(6, ESP_IN_UDP)),
        report_v4(quoted_v4(17, ESP_IN_UDP, fragment=7)),
        report_v4(quoted_v4(17, ESP_IN_UDP), mtu=0),
        report_v4(quoted_v4(17, ESP_IN_UDP), code=3),
        report_v4(quoted_v6(17, ESP_IN_UDP)),
        b"",
    ],
    ids=["too short", "IKE", "TCP", "later fragment", "no MTU", "port unreachable", "other family", "nothing"],
)
def test_what_does_not_quote_esp_is_no_report(message: bytes) -> None:
    assert read_v4(message) is None


def test_no_octets_are_too_few_or_too_odd_to_be_read() -> None:
    whole4, whole6 = report_v4(quoted_v4(17, ESP_IN_UDP)), report_v6(quoted_v6(17, ESP_IN_UDP))
    for length in range(len(whole4) - 5):
        assert read_v4(whole4[:length]) is None
    for length in range(len(whole6) - 5):
        assert read_v6(whole6[:length]) is None
    assert read_v6(report_v6(quoted_v6(17, ESP_IN_UDP), kind=1)) is None


def paths(side: Side) -> list[int]:
    return [sa.path_mtu for sa in side.plane.outbound.values()]


async def told(side: Side) -> tuple[int, str]:
    (child,) = (await side.do("status"))["ike_sas"][0]["children"]
    return child["path_mtu"], child["path_mtu_by"]


async def up(side: Side) -> int:
    """Bring the child up, and wait for its path; the SPI of its packets."""
    await side.do("up", name="lan")
    await side.until(lambda: paths(side) == [1500])
    (sa,) = side.plane.outbound.values()
    return sa.spi


def test_the_route_says_what_a_path_carries() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await up(left)
        assert await told(left) == (1500, "route")

    play(scenario)


def test_a_link_that_takes_more_says_nothing_of_the_path_behind_it() -> None:
    async def scenario(left: Side, _: Side) -> None:
        left.network.links = 9000
        await up(left)
        assert await told(left) == (1500, "route")

    play(scenario)


def test_a_router_that_quotes_an_sa_is_believed_for_ten_minutes() -> None:
    async def scenario(left: Side, _: Side) -> None:
        spi, mtus = await up(left), left.gateway.paths.mtus
        now = left.gateway.now
        assert mtus.report(TooBig(REMOTE, spi, 1300), now)
        assert (paths(left), await told(left)) == ([1300], (1300, "report"))
        assert not mtus.report(TooBig(REMOTE, spi, 1400), now + 1)
        mtus.tick(now + BELIEVED_FOR - 1)
        assert paths(left) == [1300]
        mtus.tick(now + BELIEVED_FOR)
        assert (paths(left), await told(left)) == ([1500], (1500, "route"))

    play(scenario)


def test_a_report_about_no_sa_of_ours_changes_nothing() -> None:
    async def scenario(left: Side, _: Side) -> None:
        spi, mtus = await up(left), left.gateway.paths.mtus
        assert not mtus.report(TooBig(REMOTE, spi ^ 1, 1300), left.gateway.now)
        assert not mtus.report(TooBig(ip_address("192.0.2.77"), spi, 1300), left.gateway.now)
        assert paths(left) == [1500]

    play(scenario)


def test_nobody_is_believed_who_says_less_than_any_path_carries() -> None:
    async def scenario(left: Side, _: Side) -> None:
        spi = await up(left)
        assert left.gateway.paths.mtus.report(TooBig(REMOTE, spi, 68), left.gateway.now)
        assert paths(left) == [576]

    play(scenario)


def test_a_configured_path_mtu_is_the_last_word() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        await left.until(lambda: paths(left) == [1400])
        (sa,) = left.plane.outbound.values()
        assert not left.gateway.paths.mtus.report(TooBig(REMOTE, sa.spi, 1300), left.gateway.now)
        assert await told(left) == (1400, "configuration")

    play(scenario, configuration("left", path_mtu=1400))
