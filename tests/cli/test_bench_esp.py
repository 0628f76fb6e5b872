"""`ironswan bench esp`: what it takes and what it prints. How fast anything is, no test says."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

import ironswan
from ironswan.cli.main import main
from ironswan.control.protocol import ExitCode

BRIEF = ["bench", "esp", "--quick", "--alone", "--suite", "aes128gcm16", "--size", "64"]


def test_json_has_every_figure_with_its_conditions(capsys):
    words = ["--suite", "aes128gcm16", "--suite", "aes128-sha256", "--size", "64", "--size", "imix", "--batch", "5"]
    assert main(["bench", "esp", "--quick", "--json", *words]) == 0
    told, progress = capsys.readouterr()
    document = json.loads(told)
    assert progress == ""
    assert (document["schema"], document["benchmark"]) == (1, "esp")
    assert document["conditions"]["cpu"]
    assert document["conditions"]["native"] == ironswan.native_version()
    assert set(document["conditions"]["libraries"]) == {"ring", "cryptography", "scapy"}
    ours = [result for result in document["results"] if result["library"] == "ironswan"]
    assert {(r["suite"], r["size"], r["batch"], r["direction"]) for r in ours} == {
        (suite, size, 5, direction)
        for suite in ("aes128gcm16", "aes128-sha256")
        for size in (64, "imix")
        for direction in ("encap", "decap")
    }
    for result in document["results"]:
        assert 0 < result["ns"]["least"] <= result["ns"]["median"] <= result["ns"]["most"]
        assert result["gbps"] * 1e9 == pytest.approx(result["packets_per_second"] * result["octets"] * 8)


def test_other_libraries_are_measured_or_said_to_be_missing(capsys):
    main(["bench", "esp", "--quick", "--json", "--suite", "aes128gcm16", "--suite", "aes128-sha256", "--size", "64"])
    document = json.loads(capsys.readouterr().out)
    measured = {(result["library"], result["suite"]) for result in document["results"]}
    assert ("cryptography", "aes128gcm16") in measured
    assert document["lacking"] == {"cryptography": ["aes128-sha256"]}
    assert ({("scapy", "aes128gcm16"), ("scapy", "aes128-sha256")} <= measured) == (
        "scapy" not in document["not_installed"]
    )


def test_table_names_units_and_conditions(capsys):
    assert main(BRIEF) == 0
    told = capsys.readouterr().out
    for text in ("encap ns/packet", "decap ns/packet", "kpps", "Gb/s", "aes128gcm16", "measured on: "):
        assert text in told


def test_threads_are_measured_one_by_one_up_to_the_number(capsys):
    assert main([*BRIEF, "--threads", "3", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert sorted(result["threads"] for result in results) == [1, 1, 2, 2, 3, 3]


def test_plot_is_an_svg(tmp_path, capsys):
    path = tmp_path / "esp.svg"
    assert main([*BRIEF, "--batch", "1", "--batch", "8", "--plot", str(path)]) == 0
    assert len(ET.parse(path).getroot()) == 4
    assert "aes128gcm16" in capsys.readouterr().out


def test_plot_that_cannot_be_written_is_an_error_after_the_table(tmp_path, capsys):
    assert main([*BRIEF, "--plot", str(tmp_path / "nowhere" / "esp.svg")]) == ExitCode.FAILED
    told = capsys.readouterr()
    assert "aes128gcm16" in told.out
    assert "nowhere" in told.err


def test_unknown_suite_is_wrong_usage_and_says_which_there_are(capsys):
    assert main(["bench", "esp", "--suite", "aes129gcm16"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "aes129gcm16" in told
    assert "aes128gcm16" in told


@pytest.mark.parametrize(
    "words",
    [["--size", "27"], ["--size", "big"], ["--batch", "0"], ["--threads", "0"], ["--suite", "x", "--all-suites"]],
)
def test_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "esp", *words])
    assert ended.value.code == ExitCode.USAGE
    assert "usage: ironswan bench esp" in capsys.readouterr().err


def test_without_native_module_there_is_nothing_to_measure(monkeypatch, capsys):
    monkeypatch.setattr(ironswan, "native_version", lambda: None)
    assert main(BRIEF) == ExitCode.PERMISSION
    assert "native module" in capsys.readouterr().err


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "esp", "--help"])
    assert ended.value.code == 0
    assert "ironswan bench esp --quick" in capsys.readouterr().out
