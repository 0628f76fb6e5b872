"""The lab's own instruments: a tap that sees what is readable, counters that see what is lost. Needs no gateway."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_peers import OUTER, WIRE, Sites, sites

from ironswan.lab.capture import Capture, Findings, is_protected
from ironswan.lab.namespaces import Namespace
from ironswan.lab.processes import LabError, Task, until
from ironswan.lab.traffic import MARK, Host, SequencedStream, Transfer, ping

ENDS = (OUTER["left"], OUTER["right"])


@pytest.fixture
def bare(privileged: None, tmp_path: Path) -> Iterator[Sites]:
    with sites(tmp_path) as pair:
        yield pair


def seen(pair: Sites, source_port: int, destination_port: int, payload: bytes, count: int = 1) -> Findings:
    """What the tap makes of datagrams from left to right."""
    with pair.right.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((ENDS[1], destination_port))
        tap = Capture(pair.left, WIRE)
        with pair.left.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((ENDS[0], source_port))
            for _ in range(count):
                sender.sendto(payload, (ENDS[1], destination_port))
        return tap.finish()


def test_tap_counts_every_readable_packet_of_both_directions(bare: Sites) -> None:
    tap = Capture(bare.left, WIRE)
    assert ping(Host(bare.left, ENDS[0]), ENDS[1], 10).received == 10
    found = tap.finish()
    assert (found.unprotected, found.dropped) == (20, 0)
    assert found.examples[0] == f"{ENDS[0]} > {ENDS[1]} protocol 1"


@pytest.mark.parametrize("port", [500, 4500])
def test_tap_lets_ike_ports_pass(bare: Sites, port: int) -> None:
    assert seen(bare, port, port, bytes(64), 100).unprotected == 0


@pytest.mark.parametrize("ports", [(4501, 4500), (4500, 53), (499, 500)])
def test_tap_trusts_no_packet_with_a_strange_port(bare: Sites, ports: tuple[int, int]) -> None:
    assert seen(bare, *ports, bytes(64)).unprotected == 1


def test_tap_finds_readable_payloads_inside_what_looks_like_esp(bare: Sites) -> None:
    found = seen(bare, 4500, 4500, MARK * 10, 5000)
    assert found.unprotected == 0
    assert found.readable == found.sampled > 0


def test_tap_does_not_trust_later_fragments(bare: Sites) -> None:
    assert seen(bare, 4500, 4500, bytes(4000)).unprotected == 2


def test_rule_in_python_knows_ipv6_as_the_filter_does() -> None:
    def frame(next_header: int, body: bytes) -> bytes:
        return bytes(12) + b"\x86\xdd" + bytes(6) + bytes([next_header]) + bytes(33) + body

    assert is_protected(frame(17, struct.pack("!HH", 4500, 4500)))
    assert is_protected(frame(50, bytes(8)))
    assert is_protected(frame(58, bytes([135])))
    assert not is_protected(frame(58, bytes([128])))
    assert not is_protected(frame(6, bytes(20)))


def test_sequenced_stream_counts_what_a_dead_link_swallowed(bare: Sites) -> None:
    stream = SequencedStream(Host(bare.left, ENDS[0]), Host(bare.right, ENDS[1]))
    before = bare.left.packets(WIRE)
    until(lambda: bare.left.packets(WIRE) > before + 100, 5, "the stream runs")
    bare.right.down(WIRE)
    source = Host(bare.left, ENDS[0])
    until(lambda: ping(source, ENDS[1], 1, patience=0.1).received == 0, 5, "nothing passes")
    bare.right.up(WIRE)
    until(lambda: ping(source, ENDS[1], 1, patience=0.1).received == 1, 5, "the link is back")
    assert stream.finish() > 0


def test_sequenced_stream_over_a_good_wire_loses_nothing(bare: Sites) -> None:
    stream = SequencedStream(Host(bare.left, ENDS[0]), Host(bare.right, ENDS[1]))
    before = bare.left.packets(WIRE)
    until(lambda: bare.left.packets(WIRE) > before + 500, 5, "the stream runs")
    assert stream.finish() == 0
    assert stream.sent >= 500


def test_transfer_compares_what_was_sent_with_what_arrived(bare: Sites) -> None:
    assert Transfer(Host(bare.left, ENDS[0]), Host(bare.right, ENDS[1]), 10_000_001).intact(20)


def test_failing_task_tells_why() -> None:
    def fail() -> None:
        raise ValueError("on purpose")

    with pytest.raises(LabError, match="ValueError: on purpose"):
        Task(fail).result(5)


def test_namespace_keeps_its_links_to_itself(privileged: None) -> None:
    with Namespace("one") as one, Namespace("two") as two:
        assert one.interfaces() == two.interfaces() == ["lo"]


def test_daemon_does_not_outlive_a_killed_parent(privileged: None, tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from ironswan.lab.namespaces import Namespace
from ironswan.lab.processes import Daemon
daemon = Daemon(Namespace("x"), ["sleep", "60"], Path({str(tmp_path / "log")!r}))
print(daemon.process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until(lambda: _ended(child), 5, "the daemon died too")


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
