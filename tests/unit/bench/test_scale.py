"""The sweeps of the data plane's scaling, without a data plane."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from ironswan.bench.scale import report
from ironswan.bench.scale.sweep import AXES, Effort, Point, Setting, defaults, sweep

ABOUT = {"summary": "here", "warnings": ["busy"]}


def fake(setting: Setting, effort: Effort) -> Point:
    if setting.sas > 1000:
        return Point(setting, failed="too many")
    weight = 2000.0 if setting.sas >= 100 else None
    rates = {"kpps": [100.0, 300.0, 200.0], "sending": [2.0, 1.0, 3.0], "receiving": [0.5]}
    return Point(setting, **rates, install_seconds=0.1, octets_each=weight)


def test_one_thing_changes_at_a_time() -> None:
    found = sweep({"sas": (1, 10), "size": (64, 512)}, Setting(workers=2), Effort(), lambda _: None, fake)
    settings = [point.setting for points in found.values() for point in points]
    assert settings == [
        Setting(workers=2),
        Setting(sas=10, workers=2),
        Setting(workers=2),
        Setting(size=512, workers=2),
    ]


def test_every_value_is_measured_with_every_form_of_esp_one_after_the_other() -> None:
    found = sweep({"size": (36, 1372)}, Setting(), Effort(), lambda _: None, fake, forms=("plain", "raw"))
    assert [(point.setting.size, point.setting.esp) for point in found["size"]] == [
        (36, "plain"),
        (36, "raw"),
        (1372, "plain"),
        (1372, "raw"),
    ]
    drawing = report.chart(report.document(found, Setting(), Effort(), ABOUT))
    assert "plain" in drawing
    assert "raw" in drawing


def test_every_axis_has_values_and_begins_with_the_smallest() -> None:
    for axis in AXES:
        assert list(defaults(axis)) == sorted(set(defaults(axis)))


def test_report_has_medians_and_tells_what_failed() -> None:
    told: list[str] = []
    found = sweep({"sas": (1, 100, 10_000)}, Setting(), Effort(), told.append, fake)
    result = report.document(found, Setting(), Effort(), ABOUT)
    assert json.loads(json.dumps(result)) == result
    first = result["sweeps"]["sas"][0]
    assert (first["kpps"], first["kpps_min"], first["kpps_max"]) == (200, 100, 300)
    assert first["payload_gbps"] == 200 * 64 * 8 / 1e6
    text = report.markdown(result)
    assert "| 100 | udp | 200 (100..300) | 0.102 | 2.00 | 0.50 | 0.1 | 2000 |" in text
    assert "| 10000 | udp | too many |" in text
    assert "**busy**" in text
    assert "too many" in told


def test_charts_are_xml_with_the_memory_of_sas_apart() -> None:
    found = sweep({"sas": (1, 100), "workers": (1, 2)}, Setting(), Effort(), lambda _: None, fake)
    drawing = report.chart(report.document(found, Setting(), Effort(), ABOUT))
    ElementTree.fromstring(drawing)
    assert drawing.count("<desc>") == 3
    assert drawing.count("here. UDP from left to right.") == 1
