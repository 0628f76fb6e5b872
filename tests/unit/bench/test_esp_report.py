"""What was measured, as table, document and drawing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from ironswan.bench.conditions import gather
from ironswan.bench.esp import Figure, Findings
from ironswan.bench.esp_report import document, plot, table
from ironswan.bench.timing import Spread


def figures(library="ironswan", suite="aes128gcm16", size=1420, batch=64, threads=1, ns=355.0):
    octets = float(size) if isinstance(size, int) else 347.7
    return [
        Figure(library, suite, size, batch, threads, direction, octets, Spread(ns, ns - 5, ns + 45))
        for direction in ("encap", "decap")
    ]


@pytest.fixture(scope="module")
def about(tmp_path_factory):
    nowhere = tmp_path_factory.mktemp("nowhere")
    return gather(["cryptography"], system=nowhere, root=nowhere)


def test_rates_follow_from_the_median():
    figure = figures(size=1420, ns=355.0)[0]
    assert figure.packets_per_second == pytest.approx(2_816_901.4, abs=0.1)
    assert figure.gbps == pytest.approx(32.0)


def test_table_has_a_row_for_each_library_and_its_conditions(about):
    found = Findings(
        figures() + figures("cryptography", batch=1, ns=1400.0), ["scapy"], {"cryptography": ["aes128gcm8"]}
    )
    told = table(found, about)
    assert "355 (350..400)     2817      32" in told
    assert "1400 (1395..1445)      714    8.11" in told
    assert "scapy is not installed" in told
    assert "cryptography has no aes128gcm8" in told
    assert about.text() in told
    assert "imix" not in told


def test_table_defines_the_mix_when_it_was_measured(about):
    assert "7 packets of 64 octets" in table(Findings(figures(size="imix")), about)


def test_figures_of_a_busy_machine_are_called_unsteady(about):
    unsteady = replace(figures()[0], ns=Spread(100.0, 90.0, 150.0))
    assert "unsteady: the repetitions of 1 of 3 figures" in table(Findings([unsteady, *figures()]), about)
    assert "unsteady" not in table(Findings(figures()), about)
    assert [result["unsteady"] for result in document(Findings([unsteady, *figures()]), about)["results"]] == [
        True, False, False,
    ]  # fmt: skip


def test_document_has_figures_definitions_and_conditions(about):
    said = json.loads(json.dumps(document(Findings(figures(), ["scapy"]), about)))
    assert set(said) == {
        "schema", "benchmark", "conditions", "definitions", "results", "not_installed", "lacking",
    }  # fmt: skip
    assert said["conditions"]["libraries"]["cryptography"]
    assert [result["direction"] for result in said["results"]] == ["encap", "decap"]
    assert said["results"][0]["ns"] == {"median": 355.0, "least": 350.0, "most": 400.0}
    assert set(said["results"][0]) == {
        "library", "suite", "size", "octets", "batch", "threads", "direction", "ns", "packets_per_second", "gbps",
        "unsteady",
    }  # fmt: skip


def titles(drawing):
    return [element.findtext("{http://www.w3.org/2000/svg}title") for element in ET.fromstring(drawing)]


def test_drawing_compares_libraries_and_says_the_conditions(about):
    drawing = plot(Findings(figures() + figures("scapy", batch=1)), about)
    assert titles(drawing) == [f"ESP {way}, packets of 1420 octets, 1 thread" for way in ("encap", "decap")]
    assert drawing.count(about.date) == 1


@pytest.mark.parametrize(
    ("varied", "title"),
    [
        (figures(size=64), "by packet size, batches of 64"),
        (figures(batch=1), "by batch length, packets of 1420 octets"),
        (figures(threads=2), "by threads, one SA each, packets of 1420 octets, batches of 64"),
    ],
)
def test_what_was_varied_has_a_chart_of_its_own(about, varied, title):
    drawn = titles(plot(Findings(varied + figures()), about))
    assert len(drawn) == 4
    assert title in drawn[2]
    assert title in drawn[3]


def test_mix_alone_can_be_drawn(about):
    assert titles(plot(Findings(figures(size="imix")), about))[0] == "ESP encap, imix, 1 thread"
