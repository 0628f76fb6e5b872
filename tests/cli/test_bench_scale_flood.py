"""`ironswan bench scale` and `bench flood`, with measurements that are not made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ironswan.bench import flood
from ironswan.bench.scale import sweep
from ironswan.bench.tunnel import about
from ironswan.cli.main import main
from ironswan.control.protocol import ExitCode
from ironswan.lab import privileges
from ironswan.lab.processes import LabError

FLOODED = flood.Result("runt", 200.0, 20.0, 19.0, {"drop_runt": 5}, True, 12.0)


class Measured:
    """What was asked for; raises `error` or answers."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.error: Exception | None = None

    def sweep(self, wanted: Any, base: sweep.Setting, *_: Any, **__: Any) -> Any:
        self._ask(wanted)
        return {"sas": [sweep.Point(base, kpps=[100.0], install_seconds=0.1)]}

    def flood(self, kind: str, _: flood.Plan) -> flood.Result:
        self._ask(kind)
        return FLOODED

    def _ask(self, what: Any) -> None:
        self.asked.append(what)
        if self.error:
            raise self.error


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Measured:
    made = Measured()
    monkeypatch.setattr(sweep, "sweep", made.sweep)
    monkeypatch.setattr(flood, "measure", made.flood)
    monkeypatch.setattr(privileges, "obstacle", lambda: None)
    monkeypatch.setattr(about, "conditions", lambda *_: {"summary": "here", "warnings": []})
    monkeypatch.chdir(tmp_path)
    return made


def test_sweeps_are_not_made_when_they_cannot_be_written(
    measured: Measured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["bench", "scale", "--sas", "1", "--output", "file/out"]) == ExitCode.FAILED
    assert capsys.readouterr().err == "ironswan: file/out: Not a directory\n"
    assert measured.asked == []


def test_sweeps_are_printed_before_they_are_written(
    measured: Measured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "scale.md").mkdir(parents=True)
    assert main(["bench", "scale", "--sas", "1", "--json", "--output", "out"]) == ExitCode.FAILED
    told = capsys.readouterr()
    assert json.loads(told.out)["benchmark"] == "scale"
    assert told.err == "ironswan: out/scale.md: Is a directory\n"


@pytest.mark.parametrize("command", [["scale", "--sas", "1"], ["flood", "--kind", "runt"]])
def test_what_fails_meanwhile_is_one_line(
    measured: Measured, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    measured.error = LabError("the tunnel carries no packets")
    assert main(["bench", *command]) == ExitCode.FAILED
    assert capsys.readouterr().err.endswith("ironswan: the tunnel carries no packets\n")


def test_flood_is_a_document_like_those_of_other_benchmarks(
    measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "flood", "--kind", "runt", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["benchmark"], document["conditions"]["summary"]) == (1, "flood", "here")
    assert document["results"][0]["kind"] == "runt"
