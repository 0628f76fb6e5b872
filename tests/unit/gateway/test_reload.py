"""Reload: errors change nothing, what stays is untouched, what is gone is ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gateway_pairs import NET, Side, child, configuration, play

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.errors import ConfigurationError, Problem
from ironswan.gateway import commands
from ironswan.gateway.routes import Kind
from ironswan.policy.connection import Configuration, Settings, StartAction
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.selectors import SelectorTemplate, parse_selector
from ironswan.policy.transforms import Protocol


def loads(monkeypatch: pytest.MonkeyPatch, new: Configuration) -> None:
    monkeypatch.setattr(commands, "load", lambda _: new)


def test_error_in_the_file_keeps_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> Configuration:
        raise ConfigurationError((Problem(str(path), 3, "rekey_time", "soon", "is no time", ()),))

    monkeypatch.setattr(commands, "load", fail)

    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        before, configured = left.spis, left.gateway.configuration
        with pytest.raises(CommandError, match="running configuration stays") as refused:
            await left.do("reload")
        assert refused.value.code is ExitCode.CONFIGURATION
        assert "rekey_time" in refused.value.message
        assert (left.spis, left.gateway.configuration) == (before, configured)

    play(scenario)


def test_removed_connection_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, Configuration())

    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        assert (await left.do("reload"))["removed"] == ["home"]
        await left.until(lambda: not left.spis and not right.spis)
        await left.gateway.protection.settled()
        assert left.network.routes == set()

    play(scenario)


def test_changed_connection_keeps_its_sas(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, configuration("left", dpd_delay=30.0))

    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        before = left.spis
        assert (await left.do("reload"))["changed"] == ["home"]
        assert left.spis == before
        assert None not in left.bound

    play(scenario)


def test_removed_child_is_ended_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, configuration("left", children=(child("left", name="other"),)))

    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        await left.do("reload")
        await left.until(lambda: not left.spis)
        assert len((await left.do("status"))["ike_sas"]) == 1

    play(scenario)


def test_new_trap_is_set_and_a_withdrawn_one_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    trapped = configuration("left", children=(child("left", start_action=StartAction.TRAP),))

    async def scenario(left: Side, _: Side) -> None:
        loads(monkeypatch, trapped)
        await left.do("reload")
        assert left.gateway.policies.traps() == {("home", "lan")}
        assert left.network.kinds(NET["right"]) == {Kind.TUN, Kind.UNREACHABLE}
        loads(monkeypatch, configuration("left"))
        await left.do("reload")
        assert left.gateway.policies.traps() == frozenset()
        assert left.network.routes == set()

    play(scenario)


def test_changed_selectors_of_a_trap_move_its_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = (parse_selector("10.2.0.0/16"),)
    trapped = child("left", start_action=StartAction.TRAP)
    loads(monkeypatch, configuration("left", children=(replace(trapped, remote_ts=wide),)))

    async def scenario(left: Side, _: Side) -> None:
        await left.do("reload")
        assert left.network.kinds("10.2.0.0/16") == {Kind.TUN, Kind.UNREACHABLE}
        assert left.network.kinds(NET["right"]) == set()

    play(scenario, left=configuration("left", children=(trapped,)))


def test_trap_is_withdrawn_under_a_running_sa_without_harm_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, configuration("left"))

    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        await left.do("reload")
        assert Kind.TUN in left.network.kinds(NET["right"])
        assert None not in left.bound

    trapped = configuration("left", children=(child("left", start_action=StartAction.TRAP),))
    play(scenario, left=trapped)


def test_reload_of_nothing_new_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trapped = configuration("left", children=(child("left", start_action=StartAction.TRAP),))
    loads(monkeypatch, trapped)

    async def scenario(left: Side, _: Side) -> None:
        calls = list(left.plane.calls)
        result = await left.do("reload")
        assert (result["added"], result["changed"], result["removed"]) == ([], [], [])
        assert left.plane.calls == calls

    play(scenario, left=trapped)


def test_what_only_a_start_changes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    new = configuration("left")
    other = {"port": 5500, "nice": 3, "real_time": False, "busy_poll": False, "affinity": False}
    loads(monkeypatch, replace(new, settings=replace(new.settings, **other)))

    async def scenario(left: Side, _: Side) -> None:
        assert (await left.do("reload"))["needs_restart"] == list(other)

    play(scenario)


def test_mtu_follows_the_suites_that_are_configured_now(monkeypatch: pytest.MonkeyPatch) -> None:
    wider = child("left", esp_proposals=(parse_proposal("aes256-sha512", Protocol.ESP),))
    loads(monkeypatch, configuration("left", children=(wider,)))

    async def scenario(left: Side, _: Side) -> None:
        await left.do("reload")
        first = left.gateway.mtu
        assert left.network.mtu == left.plane.mss_mtu == first > 1300
        loads(monkeypatch, configuration("left"))
        await left.do("reload")
        assert left.gateway.mtu == left.network.mtu == left.plane.mss_mtu > first

    play(scenario)


def test_mss_clamp_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, replace(configuration("left"), settings=Settings(mss_clamp=False)))

    async def scenario(left: Side, _: Side) -> None:
        await left.do("reload")
        assert left.plane.mss_mtu == 0 < left.gateway.mtu

    play(scenario)


def test_interfaces_of_ours_do_not_count_as_links_the_mtu_must_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    own = configuration("left", children=(child("left", interface="tun-a"),))
    loads(monkeypatch, own)
    asked: list[object] = []

    async def scenario(left: Side, _: Side) -> None:
        async def outer_mtu(own_index: int, others: object = ()) -> int:
            asked.append((own_index, others))
            return 1500

        monkeypatch.setattr(left.network, "outer_mtu", outer_mtu)
        await left.do("reload")
        assert asked == [(left.plane.interface()[1], ("tun-a",))]

    play(scenario, own)


def test_mtu_that_cannot_be_set_leaves_the_rest_of_the_reload_in_force(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loads(monkeypatch, configuration("left", dpd_delay=30.0))

    async def scenario(left: Side, _: Side) -> None:
        async def fail(mtu: int, others: object) -> None:
            raise OSError("no such device")

        monkeypatch.setattr(left.network, "set_mtu", fail)
        before = left.gateway.mtu
        assert (await left.do("reload"))["changed"] == ["home"]
        assert left.gateway.mtu == before
        assert caplog.text.count(f"the MTU stays {before}: no such device") == 1

    play(scenario)


STARTED = configuration("left", children=(child("left", start_action=StartAction.START),))


def test_attempt_ends_with_the_start_action(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, configuration("left"))

    async def scenario(left: Side, _: Side) -> None:
        await left.until(lambda: left.plane.sent)
        await left.do("reload")
        assert left.gateway.upkeep.trying() == frozenset()
        assert (await left.do("status"))["ike_sas"] == []

    play(scenario, STARTED, cut=True)


def test_attempt_goes_to_the_corrected_address_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ("127.0.1.9",)
    children = (child("left", start_action=StartAction.START), child("left", name="b", start_action=StartAction.START))
    loads(monkeypatch, configuration("left", children=children))

    async def scenario(left: Side, _: Side) -> None:
        await left.until(lambda: left.plane.sent)
        left.plane.sent.clear()
        await left.do("reload")
        await left.until(lambda: left.plane.sent)
        assert {to for _, _, to, _, _ in left.plane.sent} == {"127.0.1.2"}
        (sa,) = (await left.do("status"))["ike_sas"]
        assert sa["remote"].startswith("127.0.1.2")
        assert left.gateway.upkeep.trying() == {("home", "lan"), ("home", "b")}

    play(scenario, configuration("left", children=children, remote_addrs=wrong), cut=True)


def test_attempt_goes_on_when_something_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, replace(STARTED, settings=Settings(mss_clamp=False)))

    async def scenario(left: Side, _: Side) -> None:
        await left.until(lambda: left.plane.sent)
        (before,) = (await left.do("status"))["ike_sas"]
        await left.do("reload")
        (after,) = (await left.do("status"))["ike_sas"]
        assert after["id"] == before["id"]

    play(scenario, STARTED, cut=True)


def test_trap_that_waits_for_an_address_goes_with_its_action(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamic = child("left", remote_ts=(SelectorTemplate(),), start_action=StartAction.TRAP)
    unknown = configuration("left", children=(dynamic,), local_addrs=("192.0.2.0/24",))
    loads(monkeypatch, configuration("left", children=(replace(dynamic, start_action=StartAction.NONE),)))

    async def scenario(left: Side, _: Side) -> None:
        await left.do("reload")
        assert left.gateway.upkeep.trapping() == frozenset()
        assert left.gateway.policies.traps() == frozenset()

    play(scenario, unknown)


def test_trap_that_waits_for_an_address_looks_again_when_it_is_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamic = (child("left", remote_ts=(SelectorTemplate(),), start_action=StartAction.TRAP),)
    loads(monkeypatch, configuration("left", children=dynamic))

    async def scenario(left: Side, _: Side) -> None:
        await left.do("reload")
        await left.until(left.gateway.policies.traps)

    play(scenario, configuration("left", children=dynamic, local_addrs=("192.0.2.0/24",)))


def test_whatever_keeps_a_reload_from_being_done_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = configuration("left", children=(child("left", interface="tun-a"),))
    loads(monkeypatch, own)

    async def scenario(left: Side, _: Side) -> None:
        left.plane.interfaces[9] = "tun-a"
        with pytest.raises(CommandError, match="not reloaded"):
            await left.do("reload")
        assert caplog.text.count("cannot make the interface tun-a") == 1

    play(scenario)
