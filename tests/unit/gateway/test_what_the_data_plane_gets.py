"""What was negotiated and configured reaches the data plane in every part, and what it says back has its effect."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any

import pytest
from gateway_pairs import ADDRESS, Side, child, configuration, play

from ironswan.dataplane.port import SaNotice
from ironswan.gateway import gateway
from ironswan.ike.events import ChildInstalled, ChildSa
from ironswan.policy.connection import Configuration
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.selectors import parse_selector
from ironswan.policy.transforms import Protocol

LIMITS = {"soft_packets": 1001, "hard_packets": 2002, "soft_bytes": 300_003, "hard_bytes": 400_004}
SELECTORS = {
    "left": (parse_selector("10.1.0.0/24[tcp/80]"), parse_selector("10.1.9.0-10.1.9.7[udp]")),
    "right": (parse_selector("10.2.0.0/24[tcp/1024-65535]"), parse_selector("10.2.9.9[udp]")),
}
AS_TUPLES = {
    "left": [(6, "10.1.0.0", "10.1.0.255", 80, 80), (17, "10.1.9.0", "10.1.9.7", 0, 65535)],
    "right": [(6, "10.2.0.0", "10.2.0.255", 1024, 65535), (17, "10.2.9.9", "10.2.9.9", 0, 65535)],
}


def special(side: str, suite: str = "aes128gcm16-esn") -> Configuration:
    other = "right" if side == "left" else "left"
    policy = child(
        side,
        local_ts=SELECTORS[side],
        remote_ts=SELECTORS[other],
        esp_proposals=(parse_proposal(suite, Protocol.ESP),),
        replay_window=256 if side == "left" else 1024,
        rekey_packets=1001,
        life_packets=2002,
        rekey_bytes=300_003,
        life_bytes=400_004,
    )
    return configuration(side, children=(policy,))


class Given:
    """Everything a side's data plane is given to install, by direction, and the Child SA that the engine made."""

    def __init__(self, side: Side) -> None:
        self.inbound: list[dict[str, Any]] = []
        self.outbound: list[dict[str, Any]] = []
        self.children: list[ChildSa] = []
        into, out = side.plane.install_inbound, side.plane.install_outbound

        def install_inbound(spi: int, suite: str, keymat: bytes, **more: Any) -> None:
            self.inbound.append({"spi": spi, "suite": suite, "keymat": keymat, **more})
            into(spi, suite, keymat, **more)

        def install_outbound(spi: int, suite: str, keymat: bytes, **more: Any) -> int:
            self.outbound.append({"spi": spi, "suite": suite, "keymat": keymat, **more})
            return out(spi, suite, keymat, **more)

        side.plane.install_inbound = install_inbound  # type: ignore[method-assign]
        side.plane.install_outbound = install_outbound  # type: ignore[method-assign]
        side.gateway.watchers.add(self._watch)

    def _watch(self, event: object) -> None:
        if isinstance(event, ChildInstalled):
            self.children.append(event.child)


@pytest.mark.parametrize(("suite", "esn"), [("aes128gcm16-esn", True), ("aes128gcm16-noesn", False)])
def test_both_halves_have_all_of_what_was_negotiated_and_configured(suite: str, esn: bool) -> None:
    async def scenario(left: Side, right: Side) -> None:
        sides = {"left": (left, Given(left)), "right": (right, Given(right))}
        await left.do("up", name="lan")
        await right.until(lambda: sides["right"][1].outbound)
        for name, (_, given) in sides.items():
            other = "right" if name == "left" else "left"
            [made], [inbound], [outbound] = given.children, given.inbound, given.outbound
            assert (inbound["spi"], outbound["spi"]) == (made.inbound_spi, made.outbound_spi)
            assert (inbound["suite"], outbound["suite"]) == ("aes128gcm16",) * 2
            assert (inbound["keymat"], outbound["keymat"]) == (made.keymat_in, made.keymat_out)
            assert (inbound["esn"], outbound["esn"]) == (esn, esn)
            assert inbound["replay_window"] == {"left": 256, "right": 1024}[name]
            assert (inbound["local_ts"], inbound["remote_ts"]) == (AS_TUPLES[name], AS_TUPLES[other])
            assert outbound["key_owner"] == made.inbound_spi
            for half in (inbound, outbound):
                assert {key: half[key] for key in LIMITS} == LIMITS
                assert half["remote_addr"] == ADDRESS[other]
                assert half["remote_port"] == 4500
            assert (outbound["local_addr"], outbound["local_port"]) == (ADDRESS[name], 4500)

    play(scenario, special("left", suite), special("right", suite))


def test_policy_has_the_selectors_of_the_child() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await right.until(lambda: right.plane.policies)
        for name, side in (("left", left), ("right", right)):
            [policy] = side.plane.policies.values()
            assert policy.local_ts == AS_TUPLES[name]
            assert policy.remote_ts == AS_TUPLES["right" if name == "left" else "left"]

    play(scenario, special("left"), special("right"))


@pytest.mark.parametrize("which", ["inbound", "outbound"])
@pytest.mark.parametrize("kind", ["soft_packets", "soft_bytes", "sequence_soft"])
def test_soft_limit_rekeys_the_child(kind: str, which: str) -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        (before,) = left.spis
        (sa,) = (left.plane.inbound if which == "inbound" else left.plane.outbound).values()
        left.plane.tell(SaNotice(kind, sa.spi, "", 0))
        await left.until(lambda: len(left.spis) == 2)
        assert before in left.spis
        assert len((await left.do("status"))["ike_sas"]) == 1
        await left.until(lambda: all(left.plane.outbound[handle].spi != sa.spi for handle in left.bound if handle))

    play(scenario)


@pytest.mark.parametrize("which", ["inbound", "outbound"])
@pytest.mark.parametrize("kind", ["hard_packets", "hard_bytes"])
def test_hard_limit_ends_the_child_on_both_sides(kind: str, which: str) -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await right.until(lambda: right.spis)
        (sa,) = (left.plane.inbound if which == "inbound" else left.plane.outbound).values()
        left.plane.tell(SaNotice(kind, sa.spi, "", 0))
        await left.until(lambda: not left.spis)
        await right.until(lambda: not right.spis)
        assert left.plane.outbound == {}
        assert [sa["state"] for sa in (await left.do("status"))["ike_sas"]] == ["established"]

    play(scenario)


def test_peer_that_moved_is_told_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        (spi,) = left.spis
        moved: list[object] = []
        monkeypatch.setattr(left.gateway.manager, "peer_moved", lambda *told: moved.append(told[:2]), raising=False)
        left.plane.tell(SaNotice("peer_moved", spi, "127.0.1.9", 4711))
        await left.until(lambda: moved)
        [(told, remote)] = moved
        assert (told, remote.address, remote.port) == (spi, ip_address("127.0.1.9"), 4711)  # type: ignore[attr-defined]

    play(scenario)


def test_packets_that_came_in_are_liveness_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second, here every turn of the loop; an SA on which nothing came is not named."""
    monkeypatch.setattr(gateway, "TICK", 0.0)

    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        (spi,) = left.spis
        heard: list[int] = []
        monkeypatch.setattr(left.gateway.manager, "inbound_traffic", lambda spi, now: heard.append(spi), raising=False)
        await several_turns()
        assert heard == []
        for packets in (1, 7):
            heard.clear()
            left.plane.volumes[spi] = (packets, 84 * packets)
            await left.until(lambda: heard)
            await several_turns()
            assert heard == [spi]

    play(scenario)


async def several_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
