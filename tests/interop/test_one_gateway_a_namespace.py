"""A gateway starts, reloads and ends beside another one, or after it, without harm to what that protects."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from interop_peers import WIRE, Sites, Terms, connected, inbound_spis

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until

OTHER_PORTS = "settings { port = 1500\n port_nat_t = 14500 }\n"
OTHER_FAMILY = Terms(selectors="fd00::/8")


def mtus(wire: Sites) -> dict[str, int]:
    with wire.left.netlink() as netlink:
        return {str(link.get("ifname")): int(link.get("mtu")) for link in netlink.get_links()}


def ended(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    """What became of one of its own commands."""
    with gateway.namespace.entered():
        command = gateway.command_line(*words)
        return subprocess.run(command, text=True, capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("settings", "words", "reason"),
    [
        ("", (), "UDP port"),
        (OTHER_PORTS, (), "the interface ipsec0 is in use"),
        (OTHER_PORTS, ("--interface", "ipsec1"), "with the interface ipsec0"),
    ],
    ids=["same ports", "other ports", "other interface too"],
)
def test_second_gateway_is_refused_and_the_first_goes_on(
    wire: Sites, settings: str, words: tuple[str, ...], reason: str
) -> None:
    left, _ = wire.ironswan(), wire.ironswan(side="right")
    left.command("up", name="c", timeout=10)
    before = wire.left_state(), mtus(wire)
    second = Gateway(wire.left, wire.work, "second", Terms(child="start_action = trap").text("left") + settings)
    done = ended(second, "run", str(second.file), *words)
    assert (done.returncode, reason in done.stderr) == (ExitCode.PERMISSION, True), done.stderr
    assert (wire.left_state(), mtus(wire)) == before
    assert connected(wire)


@pytest.mark.parametrize("workers", [1, 2])
def test_interface_of_a_child_is_not_the_one_policies_steer_into(wire: Sites, workers: int) -> None:
    terms = Terms(child="interface = ipsec1")
    left = Gateway(wire.left, wire.work, "left", terms.text("left") + f"settings {{ workers = {workers} }}\n")
    done = ended(left, "run", str(left.file), "--interface", "ipsec1")
    assert (done.returncode, "cannot make the interface ipsec1" in done.stderr) == (ExitCode.PERMISSION, True)


def test_another_gateway_may_run_as_soon_as_stop_returns(wire: Sites) -> None:
    left, right = wire.ironswan(), wire.ironswan(side="right")
    left.command("up", name="c", timeout=10)
    # It does not answer our farewell, which therefore takes a while.
    os.kill(right.pid, signal.SIGSTOP)
    assert ended(left, "stop").returncode == ExitCode.OK
    assert not any("220" in rule for rule in wire.left.rules())
    wire.ironswan()
    os.kill(right.pid, signal.SIGCONT)


def test_reload_by_signal_that_fails_says_so(wire: Sites) -> None:
    left = wire.ironswan()
    left.configure(Terms(child=f"interface = {WIRE}").text("left"))
    os.kill(left.pid, signal.SIGHUP)
    until(lambda: "not reloaded" in left.log_text(), 10, "the log says that it was not reloaded")
    assert left.log_text().count("cannot make the interface") == 1


def test_reloads_leave_the_mtu_as_it_is_beside_an_interface_of_a_child(wire: Sites) -> None:
    left = wire.ironswan(Terms(child="interface = tun-a"))
    before = mtus(wire)
    for _ in range(2):
        left.command("reload")
    assert mtus(wire) == before


def test_child_of_a_family_that_is_off_here_is_down_and_says_why(wire: Sites) -> None:
    # For new interfaces alone: the wire stays without.
    wire.right.sysctl("net.ipv6.conf.default.disable_ipv6", 0)
    left, right = wire.ironswan(OTHER_FAMILY), wire.ironswan(OTHER_FAMILY, "right")
    with pytest.raises(CommandError, match="IPv6 is off on the interface") as refused:
        left.command("up", name="c", timeout=10)
    assert refused.value.code is ExitCode.PERMISSION
    until(lambda: not inbound_spis(left) | inbound_spis(right), 10, "neither side has a Child SA")
