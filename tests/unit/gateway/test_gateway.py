"""The gateway between two real engines: what reaches the data plane, the routes and the operator."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from gateway_pairs import NET, Side, child, configuration, play

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.dataplane.port import Acquire, InterfaceGone, SaNotice
from ironswan.gateway.routes import Kind
from ironswan.ike.events import ChildInstalled
from ironswan.policy.connection import CopyDscp, EndAction, Mode, StartAction
from ironswan.policy.selectors import SelectorTemplate

THEIRS = NET["right"]


def test_child_is_up_on_both_sides_when_up_returns() -> None:
    async def scenario(left: Side, right: Side) -> None:
        result = await left.do("up", name="lan")
        assert result["schema"] == 1
        assert result["handshake_ms"] > 0
        assert [c["name"] for c in result["children"]] == ["lan"]
        for side in (left, right):
            assert len(side.spis) == 1
            assert None not in side.bound
        assert left.network.kinds(THEIRS) == {Kind.TUN, Kind.UNREACHABLE}

    play(scenario)


def test_both_halves_have_the_same_keys_and_the_gateway_keeps_none() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        (ours,), (theirs,) = left.plane.inbound.values(), right.plane.outbound.values()
        assert ours.keymat == theirs.keymat
        assert ours.spi == theirs.spi
        assert [entry.child.keymat_in + entry.child.keymat_out for entry in left.gateway.children] == [b""]

    play(scenario)


def test_progress_tells_what_happens() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        assert left.progress[0] == "setting up home/lan"
        assert any("authenticated with 127.0.1.2" in line for line in left.progress)

    play(scenario)


def test_wrong_secret_has_the_exit_code_of_a_refusal_and_is_counted_by_the_refuser() -> None:
    async def scenario(left: Side, right: Side) -> None:
        with pytest.raises(CommandError, match="AUTHENTICATION_FAILED") as refused:
            await left.do("up", name="lan")
        assert refused.value.code is ExitCode.PEER_REFUSED
        status = await right.do("status")
        assert status["rejects"] == {"authentication": 1}
        assert not left.spis
        assert not right.spis

    play(scenario, right=configuration("right", secret=b"another one"))


def test_silent_peer_is_a_timeout_that_names_it() -> None:
    async def scenario(left: Side, _: Side) -> None:
        left.plane.cut = True
        with pytest.raises(CommandError, match=r"127\.0\.1\.2") as late:
            await left.do("up", name="lan", timeout=0.05)
        assert late.value.code is ExitCode.TIMEOUT
        assert (await left.do("status"))["ike_sas"][0]["state"] == "init-sent"
        await left.do("down", name="home")
        assert (await left.do("status"))["ike_sas"] == []

    play(scenario)


def test_down_of_a_child_removes_every_trace_and_keeps_the_ike_sa() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await left.do("down", name="home/lan")
        assert (left.spis, left.bound, left.network.routes) == (set(), [], set())
        await right.until(lambda: not right.spis)
        assert len((await left.do("status"))["ike_sas"]) == 1

    play(scenario)


def test_peer_that_ends_the_child_leaves_our_packets_refused() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await right.do("down", name="home/lan")
        await left.until(lambda: not left.spis)
        await left.gateway.protection.settled()
        assert left.network.kinds(THEIRS) == {Kind.UNREACHABLE}
        await left.do("up", name="lan")
        await left.do("down", name="home")
        assert left.network.routes == set()

    play(scenario)


def test_down_of_what_is_not_up_says_so() -> None:
    async def scenario(left: Side, _: Side) -> None:
        with pytest.raises(CommandError, match="home/lan is not up") as refused:
            await left.do("down", name="home/lan")
        assert refused.value.code is ExitCode.NO_SUCH_OBJECT

    play(scenario)


def test_rekeyed_child_is_replaced_without_a_moment_unbound() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await right.until(lambda: any(right.bound))
        before, (old,), calls = left.spis, right.bound, len(left.plane.calls)
        right_before, right_calls = right.spis, len(right.plane.calls)

        delete: list[tuple[str, int, str, int, bytes]] = []
        send = left.plane.send

        def keep_the_delete_back(event: object) -> None:
            if isinstance(event, ChildInstalled):
                left.plane.send = lambda *datagram: delete.append(datagram) or True  # type: ignore[method-assign]

        left.gateway.watchers.add(keep_the_delete_back)
        await left.do("rekey", name="lan", kind="child")
        (ours,) = left.spis - before
        binds = [arguments for name, arguments in left.plane.calls[calls:] if name == "bind_policy"]
        assert [left.plane.outbound[handle].spi for _, handle in binds] == list(right.spis - right_before)
        assert right.bound == [old], "only a packet tells it that we receive on the new SA"
        (spi,) = right.spis - right_before
        right.plane.tell(SaNotice("first_packet", spi, "127.0.1.1", 4500))
        await right.until(lambda: right.bound != [old])
        assert right.plane.outbound[right.bound[0]].spi == ours
        binds = [arguments for name, arguments in right.plane.calls[right_calls:] if name == "bind_policy"]
        assert [handle for _, handle in binds] == right.bound
        left.plane.send = send  # type: ignore[method-assign]
        for datagram in delete:
            send(*datagram)

    play(scenario)


def test_rekeyed_ike_sa_keeps_its_children() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        spis, old = left.spis, (await left.do("status"))["ike_sas"][0]
        await left.do("rekey", name="home", kind="ike")
        (new,) = (sa for sa in (await left.do("status"))["ike_sas"] if sa["state"] == "established")
        assert new["spi_i"] != old["spi_i"]
        assert left.spis == spis
        assert [entry.child.ike_id for entry in left.gateway.children] == [new["id"]]

    play(scenario)


def test_packet_on_a_trap_sets_its_child_up() -> None:
    async def scenario(left: Side, _: Side) -> None:
        assert left.network.kinds(THEIRS) == {Kind.TUN, Kind.UNREACHABLE}
        (trap,) = left.plane.policies
        left.plane.tell(Acquire(trap, "10.1.0.5", "10.2.0.5", 17, 4000, 53))
        await left.until(lambda: left.spis and any(left.bound))
        policies = sorted(left.plane.policies.values(), key=lambda policy: policy.priority)
        assert [policy.handle is not None for policy in policies] == [True, False]

    play(scenario, left=configuration("left", children=(child("left", start_action=StartAction.TRAP),)))


def test_child_with_start_action_start_comes_up_and_is_refused_until_then() -> None:
    async def scenario(left: Side, _: Side) -> None:
        assert Kind.UNREACHABLE in left.network.kinds(THEIRS)
        await left.until(lambda: any(left.bound))

    play(scenario, left=configuration("left", children=(child("left", start_action=StartAction.START),)))


def test_child_both_sides_start_is_there_once_when_the_first_attempt_was_lost() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.until(lambda: left.plane.sent)
        left.plane.cut = False
        await right.do("up", name="lan")
        assert len(left.spis) == 1
        assert [sa["state"] for sa in (await left.do("status"))["ike_sas"]] == ["established"]
        assert left.gateway.upkeep.trying() == frozenset()

    started = configuration("left", children=(child("left", start_action=StartAction.START),))
    play(scenario, left=started, cut=True)


def test_child_closed_by_the_peer_comes_back_with_close_action_start() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        before = left.spis
        await right.do("down", name="home/lan")
        await left.until(lambda: left.spis and not left.spis & before)

    play(scenario, left=configuration("left", children=(child("left", close_action=EndAction.START),)))


def test_close_action_does_not_wait_for_what_is_left_of_an_sa_that_was_rekeyed() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        (first,) = left.spis
        await left.do("rekey", kind="child", name="lan")
        await left.until(lambda: len(left.spis) == 2)
        before = left.spis
        await right.do("down", name="home/lan")
        await left.until(lambda: left.spis - before)
        assert first in left.spis

    play(scenario, left=configuration("left", children=(child("left", close_action=EndAction.START),)))


def test_child_closed_by_the_peer_is_trapped_with_close_action_trap() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await right.do("down", name="home/lan")
        await left.until(lambda: not left.spis)
        assert left.gateway.policies.traps() == {("home", "lan")}

    play(scenario, left=configuration("left", children=(child("left", close_action=EndAction.TRAP),)))


def test_what_a_dead_gateway_protected_stays_refused_while_it_is_configured() -> None:
    async def scenario(left: Side, _: Side) -> None:
        assert left.network.kinds(THEIRS) == {Kind.UNREACHABLE}
        assert left.network.kinds("10.99.0.0/24") == set()
        await left.do("up", name="lan")
        await left.do("down", name="home")
        assert left.network.routes == set()

    play(scenario, stale=(ip_network(THEIRS), ip_network("10.99.0.0/24")))


def test_fault_while_handling_one_message_loses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(left: Side, _: Side) -> None:
        def fault(*_: object) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(left.gateway.manager, "peer_moved", fault, raising=False)
        left.plane.tell(SaNotice("peer_moved", 1, "127.0.1.9", 4500))
        await left.do("up", name="lan")
        assert left.gateway.rejects["internal"] == 1

    play(scenario)


def test_stopped_data_plane_ends_the_gateway() -> None:
    async def scenario(left: Side, _: Side) -> None:
        left.plane.tell(SaNotice("worker_failed", 0, "", 0))
        assert await left.gateway.failed == "the data plane has stopped: a test says so"

    play(scenario)


def test_interface_that_somebody_deleted_is_named_with_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(left: Side, _: Side) -> None:
        left.plane.tell(InterfaceGone("blue"))
        await left.do("up", name="lan")
        assert "the interface blue is gone" in caplog.text
        assert not left.gateway.failed.done()

    play(scenario)


def test_end_tells_the_peer_and_removes_everything() -> None:
    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan")
        await left.gateway.stop(1.0)
        await right.until(lambda: not right.spis)
        assert (left.plane.inbound, left.plane.outbound, left.plane.policies) == ({}, {}, {})

    play(scenario)


def test_traffic_since_the_last_second_is_liveness() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        (spi,) = left.spis
        assert left.gateway.children.heard() == []
        left.plane.volumes[spi] = (3, 300)
        assert left.gateway.children.heard() == [spi]
        assert left.gateway.children.heard() == []
        (sa,) = (await left.do("status"))["ike_sas"]
        assert (sa["children"][0]["packets_in"], sa["children"][0]["bytes_in"]) == (3, 300)

    play(scenario)


def test_status_has_the_same_keys_for_a_child_that_the_data_plane_has_not() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        (whole,) = (await left.do("status"))["ike_sas"][0]["children"]
        left.gateway.children._installed.clear()
        (bare,) = (await left.do("status"))["ike_sas"][0]["children"]
        assert bare.keys() == whole.keys()
        assert [bare[key] for key in ("packets_in", "sequence_out", "path_mtu", "path_mtu_by", "mtu")] == [None] * 5

    play(scenario)


def test_status_looks_once_for_what_is_held_however_many_children(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(left: Side, _: Side) -> None:
        looks: list[None] = []
        monkeypatch.setattr(left.gateway.protection, "held", lambda: looks.append(None) or frozenset([("home", "b")]))
        (shown,) = (await left.do("status"))["connections"]
        assert [each["held"] for each in shown["children"]] == [False, True]
        assert len(looks) == 1

    play(scenario, configuration("left", children=(child("left"), child("left", name="b"))))


def test_no_key_and_no_secret_is_in_the_status() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan")
        text = str(await left.do("status"))
        (sa,) = left.plane.inbound.values()
        assert sa.keymat.hex() not in text
        assert str(sa.keymat) not in text
        assert "for tests only" not in text

    play(scenario)


@pytest.mark.parametrize("request_", [{"command": "nothing"}, {}, {"command": "up"}, {"command": "up", "name": 3}])
def test_request_that_makes_no_sense_is_wrong_usage(request_: dict[str, object]) -> None:
    async def scenario(left: Side, _: Side) -> None:
        with pytest.raises(CommandError) as refused:
            await left.commands.handle(request_, left.progress.append)
        assert refused.value.code is ExitCode.USAGE

    play(scenario)


@pytest.mark.parametrize("timeout", [0, -1, "3", True, 1e9, None])
def test_timeout_that_makes_no_sense_is_wrong_usage(timeout: object) -> None:
    async def scenario(left: Side, _: Side) -> None:
        with pytest.raises(CommandError) as refused:
            await left.do("up", name="lan", timeout=timeout)
        assert refused.value.code is ExitCode.USAGE

    play(scenario)


def test_transport_mode_reaches_the_data_plane_and_tunnel_mode_instead_of_it_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hosts = {"local_ts": (SelectorTemplate(),), "remote_ts": (SelectorTemplate(),)}

    async def scenario(left: Side, right: Side) -> None:
        await left.do("up", name="lan", timeout=5)
        await right.until(lambda: right.spis)
        installed = [sa for s in (left, right) for sa in (*s.plane.inbound.values(), *s.plane.outbound.values())]
        modes.append({sa.mode for sa in installed})

    modes: list[set[str]] = []
    transport, tunnel = (
        [configuration(side, children=(child(side, mode=mode, **hosts),)) for side in ("left", "right")]
        for mode in (Mode.TRANSPORT, Mode.TUNNEL)
    )
    caplog.set_level("INFO", "ironswan")
    play(scenario, transport[0], transport[1])
    assert "transport mode" in caplog.text
    assert "as configured" not in caplog.text
    play(scenario, transport[0], tunnel[1])
    assert "home/lan is not in transport mode as configured" in caplog.text
    assert modes == [{"transport"}, {"tunnel"}]


def test_what_of_the_ds_field_is_copied_reaches_the_data_plane_and_the_operator() -> None:
    async def scenario(left: Side, _: Side) -> None:
        await left.do("up", name="lan", timeout=5)
        installed = (*left.plane.inbound.values(), *left.plane.outbound.values())
        assert [sa.copied for sa in installed] == [(False, "yes")] * 2
        ((told,),) = (sa["children"] for sa in (await left.do("status"))["ike_sas"])
        assert (told["copy_ecn"], told["copy_dscp"]) == (False, "yes")

    left = configuration("left", children=(child("left", copy_ecn=False, copy_dscp=CopyDscp.YES),))
    play(scenario, left)
