"""The tunnel benchmark's document, table and chart."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from ironswan.bench.tunnel import document, run
from ironswan.bench.tunnel.draw import chart
from ironswan.bench.tunnel.measures import CPU_MACHINE, TCP, UDP64, Sample
from ironswan.bench.tunnel.peers import PEERS
from ironswan.bench.tunnel.rounds import Result
from ironswan.bench.tunnel.table import markdown

CONDITIONS = {
    "machine": {"cpus": 2}, "summary": "a <machine> & more", "link_mtu": 1500, "rounds": 2, "seconds": 3,
    "tcp_generator": "iperf 3.12", "congestion_control": "cubic", "privileges": "root", "busy_share": 0.4,
    "warnings": ["the machine was busy"],
}  # fmt: skip


def made(*samples: Sample, more: tuple[Result, ...] = ()) -> document.Document:
    veth = Result("veth", "whole", [Sample({TCP: 20.0, UDP64: 300.0, CPU_MACHINE: 0.5})])
    ours = Result("ironswan", "whole", list(samples), noisy_rounds=1)
    peers = [(PEERS["veth"], ""), (PEERS["ironswan"], "ironswan 1")]
    return document.build(CONDITIONS, peers, {"nebula": "ask around"}, [veth, ours, *more])


@pytest.fixture
def example() -> document.Document:
    return made(Sample({TCP: 8.123456, UDP64: 200.0}), Sample({TCP: 9.0}, failed=["udp64_kpps: no packet arrived"]))


def test_document_is_json_with_every_figure_and_its_rounds(example: document.Document) -> None:
    assert json.loads(json.dumps(example)) == example
    row = example["results"][1]
    assert row["figures"][TCP] == {"median": 8.562, "min": 8.123, "max": 9.0, "rounds": 2}
    assert row["figures"][UDP64]["rounds"] == 1
    assert (row["noisy_rounds"], row["failed"]) == (1, ["udp64_kpps: no packet arrived"])
    assert example["measures"][TCP]["unit"] == "Gb/s"
    assert list(example["measures"]) == [TCP, UDP64, CPU_MACHINE]


def test_table_has_a_row_for_each_peer_and_a_dash_for_what_was_not_measured(example: document.Document) -> None:
    text = markdown(example)
    assert "| veth | 20 | 300 | 0.5 |" in text
    assert "| ironswan (noisy) | 8.56 (8.12..9) | 200 | - |" in text


def test_table_tells_conditions_warnings_absent_peers_and_failures(example: document.Document) -> None:
    text = markdown(example)
    for words in ("a <machine> & more", "iperf 3.12", "**the machine was busy**", "| nebula | not found: ask around"):
        assert words in text
    assert "- ironswan, whole: udp64_kpps: no packet arrived" in text


def test_chart_is_xml_with_one_panel_a_measure_and_the_conditions_once(example: document.Document) -> None:
    drawing = chart(example)
    ElementTree.fromstring(drawing)
    assert drawing.count("<desc>") == 3
    assert drawing.count("a &lt;machine&gt;") == 1


def test_packet_sizes_are_drawn_as_a_line_from_three_on() -> None:
    sizes = {f"udp{size}_kpps": 100.0 for size in (64, 128, 1024)}
    drawn = chart(made(Sample(sizes)))
    assert "by payload, link offloads: whole</text>" in drawn
    assert "by payload, link offloads: whole</text>" not in chart(made(Sample(dict(list(sizes.items())[:2]))))


def test_a_run_in_which_nothing_worked_still_has_a_report() -> None:
    failed = [Result("ironswan", "frames", [Sample(failed=["no tunnel: it ended"])])]
    only = document.build(CONDITIONS, [(PEERS["ironswan"], "")], {}, failed)
    assert "no tunnel: it ended" in markdown(only)
    ElementTree.fromstring(chart(only))


def test_files_have_stable_names(example: document.Document, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("out") / "results"
    files = run.write(example, folder)
    assert [file.name for file in files] == ["tunnel.json", "tunnel.md", "tunnel.svg"]
    assert json.loads(files[0].read_text()) == example
