"""Charts: well-formed, escaped, readable in both colour schemes, and with every figure in words."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from ironswan.bench.chart import WIDTH, bar_chart, line_chart, panels

SVG = "{http://www.w3.org/2000/svg}"


def lines(**changes):
    drawn = {
        "title": "Speed",
        "x_label": "octets",
        "y_label": "Gb/s",
        "series": {"one": [(64, 1.0), (1420, 8.5)], "two": [(64, 0.5), (1420, 4.0)]},
        "caption": "on a machine",
    }
    return line_chart(**(drawn | changes))


def bars(**changes):
    drawn = {"title": "Suites", "value_label": "kpps", "groups": ["a", "b"], "series": {"x": [1.0, None], "y": [2, 30]}}
    return bar_chart(**(drawn | changes))


def words(drawing: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(drawing).iter(f"{SVG}text")]


def test_line_chart_says_title_axes_units_legend_and_conditions():
    assert {"Speed", "octets", "Gb/s", "one", "two", "on a machine"} <= set(words(lines()))


def test_bar_chart_says_groups_values_and_what_does_not_exist():
    assert {"Suites", "kpps", "a", "b", "x", "y", "1", "2", "30", "x: none"} <= set(words(bars()))


@pytest.mark.parametrize("drawing", [lines(), bars()])
def test_every_figure_is_in_the_description(drawing):
    root = ET.fromstring(drawing)
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[1].tag == f"{SVG}desc"
    for said in ("64 1, 1420 8.5", "64 0.5, 1420 4") if "octets" in drawing else ("x: a 1, b none", "y: a 2, b 30"):
        assert said in (root[1].text or "")


def test_text_is_escaped_and_what_xml_cannot_hold_is_replaced():
    hostile = '</title><script>&"\x00\x1b\ud800'
    drawing = lines(title=hostile, caption=hostile, x_label=hostile, series={hostile: [(1, 1)]})
    assert "<script" not in drawing
    assert words(drawing)[0] == '</title><script>&"\ufffd\ufffd\ufffd'


def test_both_colour_schemes_colour_every_series():
    many = {f"series {i}": [(1, i), (2, i + 1)] for i in range(20)}
    drawing = lines(series=many)
    style = ET.fromstring(drawing).find(f"{SVG}style").text
    light, dark = style.split("@media (prefers-color-scheme:dark)")
    for line in ET.fromstring(drawing).iter(f"{SVG}polyline"):
        css = line.get("class").split()[-1]
        assert f".{css}{{" in light
        assert f".{css}{{" in dark


def test_series_past_the_last_colour_are_dashed():
    drawing = lines(series={f"series {i}": [(1, i), (2, i + 1)] for i in range(9)})
    drawn = [
        (line.get("class"), line.get("stroke-dasharray")) for line in ET.fromstring(drawing).iter(f"{SVG}polyline")
    ]
    assert len(set(drawn)) == 9


def test_nothing_is_drawn_outside_the_paper():
    crowd = {f"a series with a long name {i}": [(2**k, 10.0**k) for k in range(12)] for i in range(12)}
    root = ET.fromstring(lines(series=crowd, x_log=True, y_log=True, caption="word " * 200))
    height = float(root.get("height"))
    for element in root.iter():
        for name, limit in (("x", WIDTH), ("cx", WIDTH), ("x2", WIDTH), ("y", height), ("cy", height), ("y2", height)):
            assert 0 <= float(element.get(name, 0)) <= limit


def test_values_that_are_not_finite_are_left_out():
    drawing = lines(series={"one": [(1, 1.0), (2, math.nan), (3, math.inf), (4, 2.0)]})
    assert len(list(ET.fromstring(drawing).iter(f"{SVG}circle"))) == 3  # two points and the legend
    assert "nan" not in drawing


@pytest.mark.parametrize("drawing", [lines(series={}), lines(series={"one": []}), bars(groups=[], series={})])
def test_chart_of_nothing_says_so(drawing):
    assert "nothing was measured" in words(drawing)


def test_zero_on_a_logarithmic_axis_is_refused():
    with pytest.raises(ValueError, match="positive"):
        lines(series={"one": [(0, 1.0)]}, x_log=True)


def test_bars_need_a_value_for_each_group():
    with pytest.raises(ValueError, match="1 values for 2 groups"):
        bars(series={"x": [1.0]})


def test_panels_stand_below_each_other():
    charts = [lines(), bars(), lines(caption="")]
    root = ET.fromstring(panels(charts))
    heights = [int(ET.fromstring(each).get("height")) for each in charts]
    assert [int(each.get("y")) for each in root] == [0, heights[0], heights[0] + heights[1]]
    assert int(root.get("height")) == sum(heights)
    assert {"Speed", "Suites"} <= set(words(panels(charts)))


def test_panels_take_charts_only():
    with pytest.raises(ValueError, match="charts"):
        panels(["<p>no chart</p>"])
