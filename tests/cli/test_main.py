"""The command line: what it takes, what it prints and the exit codes scripts rely on."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ironswan.cli.main import main
from ironswan.cli.status_text import render
from ironswan.control.protocol import CommandError, ExitCode, JsonObject
from ironswan.control.server import ControlServer, Progress

STATUS: JsonObject = {
    "schema": 1,
    "version": "0.1.0",
    "uptime": 3700.0,
    "connections": [
        {
            "name": "home",
            "local_addrs": ["%any"],
            "remote_addrs": ["192.0.2.2"],
            "children": [
                {"name": "lan", "state": "up", "start_action": "none", "held": True},
                {"name": "voice", "state": "down", "start_action": "none", "held": True},
            ],
        }
    ],
    "ike_sas": [
        {
            "id": 1, "connection": "home", "state": "established", "initiator": True, "spi_i": "01", "spi_r": "02",
            "local": "192.0.2.1:4500", "remote": "192.0.2.2:4500", "local_id": "a.test", "remote_id": "b.test",
            "suite": "aes128gcm16-prfsha256-x25519", "age": 61.0, "rekey_in": 10000.0, "expires_in": 11000.0,
            "local_natted": False, "remote_natted": True, "udp_encap": True,
            "children": [
                {
                    "id": 1, "name": "lan", "state": "installed", "inbound_spi": "c0000001", "outbound_spi": "c0000002",
                    "suite": "aes128gcm16", "mode": "tunnel", "local_ts": ["10.1.0.0/24"], "remote_ts": ["10.2.0.0/24"],
                    "age": 61.0, "rekey_in": 3000.0, "expires_in": 3900.0, "outbound": True, "worker": 1,
                    "packets_in": 10, "bytes_in": 5 << 20, "packets_out": 20, "bytes_out": 100,
                    "drops_in": {"replayed": 3}, "drops_out": {}, "sequence_in": 12, "sequence_out": 20,
                    "replay_window": 1024, "segmentation_refused": True,
                }
            ],
        }
    ],
    "rejects": {"no_proposal": 2},
    "dataplane": {
        "interface": "ipsec0",
        "mtu": 1422,
        "workers": 2,
        "offloads": {"gso": True, "gro": False, "udp_segment": True},
        "offloads_asked": {"gso": True, "gro": True, "udp_segment": True},
        "counters": {"sealed_packets": 20, "drop_replayed": 3, "drop_runt": 0},
        "batches": {
            "tun_read": [6, 0, 0, 0, 0, 0, 2, 0], "tun_write": [0] * 8, "udp_send_run": [5, 2, 1, 0, 0, 0, 0, 0],
        },
        "worker_counters": [
            {"sealed_packets": 15, "drop_replayed": 3, "drop_runt": 0},
            {"sealed_packets": 5, "drop_replayed": 0, "drop_runt": 0},
        ],
    },
}  # fmt: skip


class Answers:
    """A gateway that says what it was told to say, on a real socket."""

    def __init__(self) -> None:
        self.asked: list[JsonObject] = []
        self.reply: JsonObject | CommandError = {}

    async def handle(self, request: JsonObject, progress: Progress) -> JsonObject:
        self.asked.append(request)
        progress("on the way")
        if isinstance(self.reply, CommandError):
            raise self.reply
        return self.reply


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def gateway(socket: Path) -> Iterator[Answers]:
    answers, ready, ended = Answers(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        server = ControlServer(socket, answers.handle)
        await server.start()
        loops.append(asyncio.get_running_loop())
        ready.set()
        await ended.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield answers
    loops[0].call_soon_threadsafe(ended.set)
    thread.join(10)


def ironswan(socket: Path, *words: str) -> int:
    return main(["--socket", str(socket), *words])


def test_up_asks_for_the_name_and_says_that_it_stands(
    socket: Path, gateway: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.reply = {"name": "home/lan", "handshake_ms": 12.3}
    assert ironswan(socket, "up", "lan", "--timeout", "5") == 0
    assert gateway.asked == [{"command": "up", "name": "lan", "timeout": 5.0}]
    assert capsys.readouterr() == ("home/lan is up (12 ms)\n", "")


@pytest.mark.parametrize("code", [c for c in ExitCode if c is not ExitCode.OK])
def test_refusal_of_the_gateway_is_the_exit_code_and_one_line(
    socket: Path, gateway: Answers, capsys: pytest.CaptureFixture[str], code: ExitCode
) -> None:
    gateway.reply = CommandError(code, "because of this")
    assert ironswan(socket, "up", "lan") == code
    assert capsys.readouterr() == ("", "ironswan: because of this\n")


@pytest.mark.parametrize("command", [["up", "c"], ["down", "c"], ["status"], ["rekey", "c"], ["reload"], ["stop"]])
def test_without_a_gateway_every_command_says_so(
    socket: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert ironswan(socket, *command) == ExitCode.NOT_RUNNING
    assert "ironswan run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "kind", "name"),
    [
        (["c"], "child", "c"),
        (["t", "--ike"], "ike", "t"),
        (["ike"], "child", "ike"),
    ],
)
def test_rekey_is_of_a_child_unless_the_ike_sa_is_asked_for(
    socket: Path, gateway: Answers, words: list[str], kind: str, name: str
) -> None:
    gateway.reply = {"name": name}
    assert ironswan(socket, "rekey", *words) == 0
    assert (gateway.asked[0]["kind"], gateway.asked[0]["name"]) == (kind, name)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nothing"],
        ["up"],
        ["up", "c", "--timeout", "0"],
        ["up", "c", "--timeout", "x"],
        ["config"],
        ["run"],
        ["rekey", "child", "c"],
        ["rekey", "child", "c", "--ike"],
    ],
)
def test_wrong_usage_has_its_exit_code(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == ExitCode.USAGE
    assert "usage: ironswan" in capsys.readouterr().err


def test_status_is_a_listing_for_people(socket: Path, gateway: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.reply = STATUS
    assert ironswan(socket, "status") == 0
    listing = capsys.readouterr().out
    for text in (
        "up 1h 1m", "workers: 2; offloads: gso udp_segment\n", "lan for worker 1: installed",
        "home: %any === 192.0.2.2",
        "192.0.2.1:4500 [a.test] === 192.0.2.2:4500 [b.test]",
        "aes128gcm16-prfsha256-x25519, NAT (or encap = yes) at the remote side",
        "SPIs c0000001 in c0000002 out", "rekey in 50m",
        "10.1.0.0/24 === 10.2.0.0/24", "in 5.0 MiB (10 packets), out 100 B (20 packets)",
        "voice: down, its packets are refused", "drop_replayed 3", "no_proposal 2",
    ):  # fmt: skip
        assert text in listing
    assert "drop_runt" not in listing
    assert "sealed_packets" not in listing


def test_reload_names_each_mistake_on_a_line_of_its_own(
    socket: Path, gateway: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = ["x.conf:1: a: wrong", "x.conf:2: b: wrong too"]
    gateway.reply = CommandError(ExitCode.CONFIGURATION, "not reloaded: " + "; ".join(problems), problems=problems)
    assert ironswan(socket, "reload") == ExitCode.CONFIGURATION
    told = capsys.readouterr().err.splitlines()
    assert told == [*problems, "ironswan: not reloaded, the running configuration stays"]


def test_interruption_has_an_exit_code_that_the_help_names(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ironswan.cli.config.handle", interrupted)
    assert main(["config", "check", str(file)]) == 130
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "130 interrupted" in capsys.readouterr().out


@pytest.mark.parametrize(("mode", "shown"), [("tunnel", False), ("transport", True), ("beet", True)])
def test_status_says_the_mode_of_what_is_no_tunnel(mode: str, shown: bool) -> None:
    document = copy.deepcopy(STATUS)
    document["ike_sas"][0]["children"][0]["mode"] = mode
    assert (f"installed, {mode} mode, aes128gcm16, SPIs" in render(document)) == shown


def test_child_without_figures_has_a_listing(socket: Path) -> None:
    document = copy.deepcopy(STATUS)
    names = ("packets_in", "bytes_in", "packets_out", "bytes_out", "sequence_in", "replay_window", "sequence_out",
             "segmentation_refused", "path_mtu", "path_mtu_by", "mtu")  # fmt: skip
    document["ike_sas"][0]["children"][0] |= dict.fromkeys(names)
    assert "packets)" not in render(document)
    assert "home/lan" not in render(document, dataplane=True)


def test_status_shows_the_data_plane_when_asked(
    socket: Path, gateway: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.reply = STATUS
    assert ironswan(socket, "status", "--dataplane") == 0
    listing = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in listing.splitlines() if line.startswith("    ")}
    assert rows["gso"] == ["yes", "yes"]
    assert rows["gro"] == ["yes", "no", "the", "kernel", "refuses"]
    assert "3 of 8 messages sent were runs; the kernel refuses on the paths of 1 SAs" in listing
    assert rows["sealed_packets"] == ["20", "(15", "+", "5)"]
    assert rows["replayed"] == ["3"]
    assert rows["never:"] == ["runt"]
    assert "home/lan  in   c0000001       10  5.0 MiB        3        12    1024  replayed 3\n" in listing
    assert "home/lan  out  c0000002       20    100 B        0        20       -  packets go one by one\n" in listing
    assert "packets in a frame read from the TUN" in listing
    assert f"    33-64  {'#' * 8:<24}  2   25.0 %\n" in listing
    assert "written to the TUN" not in listing


def test_status_json_is_the_document(socket: Path, gateway: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.reply = STATUS
    assert ironswan(socket, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == STATUS


def test_version_names_program_and_native_module(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"ironswan \S+ \(native module .+\)\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "command", ["run", "up", "down", "status", "rekey", "reload", "stop", "demo", "config", "bench", "pcap"]
)
def test_every_command_has_a_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: ironswan {command}" in capsys.readouterr().out


GOOD = """connections { home {
  remote_addrs = 192.0.2.2
  local { auth = psk }
  remote { auth = psk }
  children { lan { remote_ts = 10.2.0.0/24 } }
} }
secrets { ike-1 { secret = "for tests only" } }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "swanctl.conf"
    path.touch(0o600)
    path.write_text(GOOD)
    return path


def test_configuration_without_errors_is_named_with_its_children(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "check", str(file)]) == 0
    assert "home/lan" in capsys.readouterr().out


def test_every_error_of_a_configuration_is_told_with_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("remote_addrs", "remote_adrs").replace("10.2.0.0/24", "10.2.0.0/99"))
    assert main(["config", "check", str(file)]) == ExitCode.CONFIGURATION
    told = capsys.readouterr().err
    assert f"{file}:2:" in told
    assert f"{file}:5:" in told
    assert "for tests only" not in told


def test_errors_are_a_json_document_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("remote_addrs", "remote_adrs"))
    assert main(["config", "check", str(file), "--json"]) == ExitCode.CONFIGURATION
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["ok"]) == (1, False)
    assert [problem["line"] for problem in document["problems"]] == [2]


def test_gateway_with_an_erroneous_configuration_does_not_start(file: Path, socket: Path) -> None:
    file.write_text("connections { home { nonsense = 1 } }\n")
    command = [sys.executable, "-m", "ironswan", "--socket", str(socket), "run", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ExitCode.CONFIGURATION
    assert "nonsense" in done.stderr
    assert not socket.exists()


def test_import_brings_nothing_of_the_gateway_along() -> None:
    slow = {"asyncio", "cryptography", "logging", "pyroute2"}
    code = f"import sys, ironswan, ironswan.cli.main; print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
