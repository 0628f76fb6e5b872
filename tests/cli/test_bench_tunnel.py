"""`ironswan bench tunnel`, with runs that are not run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from ironswan.bench.tunnel import run
from ironswan.bench.tunnel.link import FRAMES, WHOLE
from ironswan.bench.tunnel.measures import MEASURES, QUICK
from ironswan.bench.tunnel.peers import PEERS
from ironswan.cli import bench_tunnel
from ironswan.control.protocol import CommandError, ExitCode
from ironswan.lab import privileges
from ironswan.lab.processes import LabError

ABOUT = {
    "machine": {}, "summary": "here", "link_mtu": 1500, "rounds": 1, "seconds": 1,
    "tcp_generator": "none", "congestion_control": "cubic", "privileges": "root", "busy_share": 0, "warnings": [],
}  # fmt: skip


class Runs:
    """Takes the orders and answers with a document."""

    def __init__(self) -> None:
        self.orders: list[run.Order] = []
        self.failed: list[str] = []
        self.error: Exception | None = None

    def measure(self, order: run.Order, tell: Any) -> dict[str, Any]:
        self.orders.append(order)
        if self.error:
            raise self.error
        row = {"peer": "veth", "offload": WHOLE, "figures": {}, "noisy_rounds": 0, "failed": self.failed}
        return {"conditions": ABOUT, "offloads": {}, "measures": {}, "peers": [], "not_found": {}, "results": [row]}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    made = Runs()
    monkeypatch.setattr(run, "measure", made.measure)
    monkeypatch.setattr(privileges, "obstacle", lambda: None)
    monkeypatch.chdir(tmp_path)
    return made


def bench(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="ironswan bench")
    bench_tunnel.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["tunnel", *words])
    return int(arguments.handler(arguments))


def test_by_default_all_peers_and_measures_three_rounds_on_both_kinds_of_link(runs: Runs) -> None:
    assert bench() == ExitCode.OK
    assert runs.orders == [run.Order(tuple(PEERS), (WHOLE, FRAMES), 3, 3, tuple(MEASURES))]
    written = {file.name for file in Path("benches", "results").iterdir()}
    assert written == {"tunnel.json", "tunnel.md", "tunnel.svg"}


def test_quick_is_one_short_round_and_writes_nothing(runs: Runs, tmp_path: Path) -> None:
    bench("--quick")
    assert runs.orders == [run.Order(tuple(PEERS), (WHOLE,), 1, 1, QUICK)]
    assert list(tmp_path.iterdir()) == []


def test_options_are_in_the_order(runs: Runs, tmp_path: Path) -> None:
    bench("--quick", "--only", "veth,nebula", "--offload", "frames", "--rounds", "5", "--seconds", "2",
          "--sizes", "128,8900", "--peer", "nebula=/opt/nebula", "--generator", "own", "--mtu", "9000",
          "--output", str(tmp_path / "out"))  # fmt: skip
    assert runs.orders == [
        run.Order(("veth", "nebula"), (FRAMES,), 5, 2, (*QUICK, "udp128_kpps", "udp8900_kpps"), "own",
                  {"nebula": Path("/opt/nebula")}, 9000)
    ]  # fmt: skip
    assert (tmp_path / "out" / "tunnel.json").exists()


def test_json_is_one_document(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    bench("--quick", "--json")
    assert json.loads(capsys.readouterr().out)["conditions"]["summary"] == "here"


def test_what_did_not_work_is_the_exit_code(runs: Runs) -> None:
    runs.failed.append("no tunnel")
    assert bench("--quick") == ExitCode.FAILED


def test_without_any_peer_or_right_it_says_so(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.error = run.NothingThere("nothing to measure")
    with pytest.raises(CommandError, match="nothing to measure") as refused:
        bench("--quick")
    assert refused.value.code == ExitCode.PERMISSION
    monkeypatch.setattr(privileges, "obstacle", lambda: "needs root")
    with pytest.raises(CommandError, match="needs root") as refused:
        bench("--quick")
    assert refused.value.code == ExitCode.PERMISSION


def test_nothing_is_measured_that_cannot_be_written(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"file/out: Not a directory") as refused:
        bench("--output", str(tmp_path / "file" / "out"))
    assert refused.value.code == ExitCode.FAILED
    assert runs.orders == []


def test_what_cannot_be_written_after_all_was_printed(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "tunnel.json").mkdir(parents=True)
    with pytest.raises(CommandError, match="tunnel.json: Is a directory") as refused:
        bench("--json", "--output", str(tmp_path / "out"))
    assert refused.value.code == ExitCode.FAILED
    assert json.loads(capsys.readouterr().out)["conditions"]["summary"] == "here"


@pytest.mark.parametrize("error", [LabError("the link keeps its offloads"), OSError(1, "Operation not permitted")])
def test_what_fails_meanwhile_is_one_line(runs: Runs, error: Exception) -> None:
    runs.error = error
    with pytest.raises(CommandError, match="the link keeps|not permitted") as refused:
        bench("--quick")
    assert refused.value.code == ExitCode.FAILED


@pytest.mark.parametrize(
    "words",
    [["--only", "nobody"], ["--peer", "nobody=/x"], ["--peer", "nebula"], ["--rounds", "0"], ["--offload", "some"],
     ["--sizes", "0"], ["--sizes", "x"]],
)  # fmt: skip
def test_wrong_words_are_refused_before_anything_runs(runs: Runs, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench(*words)
    assert ended.value.code == ExitCode.USAGE
    assert runs.orders == []


def test_list_names_every_peer_and_how_to_get_the_missing(
    runs: Runs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONSWAN_PEER_NEBULA", "/nowhere")
    assert bench("--list", "--only", "veth,nebula") == ExitCode.OK
    veth, nebula = capsys.readouterr().out.splitlines()
    assert veth.startswith("veth ")
    assert "not found: /nowhere has no nebula; go install" in nebula
    assert runs.orders == []
