"""Two ironswan gateways with each other, and the demo."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from interop_peers import Sites, Terms, connected, ike_spis, inbound_spis

from ironswan.lab.processes import until
from ironswan.lab.traffic import SequencedStream, Transfer, ping

KEYS = {
    "schema", "ok", "handshake_ms", "suite", "ping", "tcp_gbps", "tcp_reverse_gbps", "udp64_kpps", "rekey_lost",
    "cleartext_packets", "offloads", "conditions", "failed",
}  # fmt: skip
DEMO = [sys.executable, "-m", "ironswan", "demo", "--json", "--seconds", "0.5"]
STRANGER: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}


@pytest.mark.parametrize(
    "esp", ["aes128gcm16", "aes256gcm16", "chacha20poly1305", "aes256-sha512-esn", "aes256gcm16iiv", "aes192gmac-esn"]
)
def test_two_gateways_carry_bulk_traffic_unchanged(wire: Sites, esp: str) -> None:
    terms = Terms(esp=esp)
    wire.readable = "gmac" in esp
    left, _ = wire.ironswan(terms), wire.ironswan(terms, "right")
    left.command("up", name="c", timeout=10)
    here, there = wire.hosts
    assert ping(here, there.address, 20).received == 20
    assert Transfer(here, there, 100_000_000).intact(30)
    assert Transfer(there, here, 100_000_000).intact(30)


def test_sha256_cut_off_at_96_bits_on_one_side_only_carries_nothing(wire: Sites) -> None:
    """It is not negotiated, so only both or neither may have it."""
    cut = Terms(esp="aes128-sha256", child="sha256_96 = yes")
    left, right = wire.ironswan(cut), wire.ironswan(cut.but(child=""), "right")
    left.command("up", name="c", timeout=10)
    here, there = wire.hosts
    assert ping(here, there.address, 2, patience=0.5).received == 0
    right.configure(cut.text("right"))
    right.command("reload")
    left.command("down", name="t", timeout=10)
    left.command("up", name="c", timeout=10)
    assert left.command("status")["ike_sas"][0]["children"][0]["suite"] == "aes128-sha256_96"
    assert Transfer(here, there, 2_000_000).intact(20)
    assert Transfer(there, here, 2_000_000).intact(20)


def test_rekeys_from_both_sides_at_once_lose_nothing_and_leave_one_child(wire: Sites) -> None:
    left, right = wire.ironswan(), wire.ironswan(side="right")
    left.command("up", name="c", timeout=10)
    streams = [SequencedStream(*wire.hosts), SequencedStream(*reversed(wire.hosts))]
    before = inbound_spis(left)
    callers = [
        subprocess.Popen(side.command_line("rekey", "c"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for side in (left, right)
    ]
    for caller in callers:
        caller.wait(20)
    until(lambda: len(inbound_spis(left)) == 1 and not inbound_spis(left) & before, 15, "one new Child SA on the left")
    until(lambda: len(inbound_spis(right)) == 1, 15, "one Child SA on the right")
    assert [stream.finish() for stream in streams] == [0, 0]


def test_ike_rekeys_from_both_sides_at_once_leave_one_ike_sa(wire: Sites) -> None:
    left, right = wire.ironswan(), wire.ironswan(side="right")
    left.command("up", name="c", timeout=10)
    before = ike_spis(left)
    callers = [
        subprocess.Popen(side.command_line("rekey", "t", "--ike"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for side in (left, right)
    ]
    for caller in callers:
        caller.wait(20)
    until(lambda: len(ike_spis(left)) == 1 and not ike_spis(left) & before, 15, "one new IKE SA on the left")
    until(lambda: ike_spis(left) == ike_spis(right), 15, "the same on the right")
    assert connected(wire)


def test_both_sides_trapped_set_up_on_the_first_packet(wire: Sites) -> None:
    terms = Terms(child="start_action = trap")
    wire.ironswan(terms), wire.ironswan(terms, "right")
    here, there = wire.hosts
    assert ping(here, there.address, 3, patience=5).received == 3


def test_restarted_peer_is_reached_again(wire: Sites) -> None:
    left, right = wire.ironswan(), wire.ironswan(side="right")
    left.command("up", name="c", timeout=10)
    right.kill()
    right.start()
    right.command("up", name="c", timeout=10)
    assert connected(wire)


def test_demo_holds_and_prints_exactly_its_document(privileged: None) -> None:
    done = subprocess.run(DEMO, text=True, capture_output=True, timeout=120, check=False)
    document = json.loads(done.stdout)
    assert document["failed"] == []
    assert done.returncode == 0
    assert done.stderr == ""
    assert document.keys() == KEYS
    assert document["ok"] is True
    assert document["rekey_lost"] == 0
    assert document["cleartext_packets"] == 0
    assert document["ping"]["received"] == document["ping"]["sent"]
    assert document["conditions"].keys() == {"cpu", "cores", "kernel", "mtu", "version"}


@contextlib.contextmanager
def ended(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that does not outlive the block."""
    with subprocess.Popen(command, **options) as program:
        try:
            yield program
        finally:
            program.kill()


def test_two_demos_at_once_do_not_meet(privileged: None) -> None:
    with contextlib.ExitStack() as stack:
        pair = [stack.enter_context(ended(DEMO, stdout=subprocess.PIPE, text=True)) for _ in range(2)]
        documents = [json.loads(demo.communicate(timeout=120)[0]) for demo in pair]
    # Losses of an overloaded machine are not what this asks about.
    assert [document["cleartext_packets"] for document in documents] == [0, 0]
    assert all(document["handshake_ms"] for document in documents)


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = entry.read_text().rpartition(")")
            if int(rest.split()[1]) == pid:
                found.append(int(name.split()[0]))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing_behind(privileged: None, tmp_path: Path, number: signal.Signals) -> None:
    with ended(
        [*DEMO[:-1], "30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        # A shell's background jobs ignore interrupts, and so would all that is started from them.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as demo:
        until(lambda: len(_children(demo.pid)) >= 3, 30, "tap and gateways run")
        children = _children(demo.pid)
        demo.send_signal(number)
        output, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert output == ""
    # One that was just being started dies with the demo, but a moment later.
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 5, "its children have ended")
    assert list(tmp_path.iterdir()) == []


def _python_for_everyone() -> str | None:
    """An interpreter of our version that a stranger may run."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (Path(sys.executable), Path("/usr/bin", name), Path("/usr/local/bin", name)):
        real = candidate.resolve()
        if real.exists() and all(parent.stat().st_mode & stat.S_IXOTH for parent in (real, *real.parents)):
            return str(candidate)
    return None


def _strangers_may_have_user_namespaces() -> bool:
    """Whether this machine lets others than root make them, with TUN devices inside."""
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount", "true"]
    done = subprocess.run(command, capture_output=True, check=False, **STRANGER)
    return done.returncode == 0 and Path("/dev/net/tun").stat().st_mode & 0o006 == 0o006


def test_demo_without_root_runs_in_a_user_namespace_or_says_why_not(
    privileged: None, absent: Callable[[str], None]
) -> None:
    python = _python_for_everyone()
    if python is None:
        absent("no interpreter of this version that everyone may run")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [python, *DEMO[1:]],
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
        env=environment,
        **STRANGER,
    )
    if not _strangers_may_have_user_namespaces():
        assert done.returncode == 8
        assert done.stderr.count("\n") == 1
        assert "ironswan demo: " in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["failed"] == []
