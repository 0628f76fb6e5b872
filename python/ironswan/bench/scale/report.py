"""What the sweeps found: document, table and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from ironswan.bench.chart import line_chart, panels
from ironswan.bench.scale.sweep import AXES, Effort, Point, Setting

SCHEMA = 2
LOGARITHMIC_FROM = 8
HEAD = "ESP | kpps | payload Gb/s | sending µs | receiving µs | installed in s | octets for each SA"


def document(
    found: Mapping[str, Sequence[Point]], base: Setting, effort: Effort, about: Mapping[str, Any]
) -> dict[str, Any]:
    """One JSON document."""
    return {
        "schema": SCHEMA,
        "benchmark": "scale",
        "conditions": dict(about),
        "base": asdict(base),
        "effort": asdict(effort),
        "sweeps": {name: [_point(point, name) for point in points] for name, points in found.items()},
    }


def _point(point: Point, axis: str) -> dict[str, Any]:
    gbps = None if point.median is None else point.median * point.setting.size * 8 / 1e6
    return {
        "value": getattr(point.setting, axis),
        "esp": point.setting.esp,
        "kpps": point.median,
        "kpps_min": min(point.kpps, default=None),
        "kpps_max": max(point.kpps, default=None),
        "payload_gbps": gbps,
        "sending_us": median(point.sending) if point.sending else None,
        "receiving_us": median(point.receiving) if point.receiving else None,
        "install_seconds": point.install_seconds,
        "octets_each": point.octets_each,
        "failed": point.failed,
    }


def markdown(result: Mapping[str, Any]) -> str:
    """A table for each sweep."""
    base = ", ".join(f"{name} {value}" for name, value in result["base"].items() if name != "esp")
    parts = ["# How the data plane scales", f"{result['conditions']['summary']}.", f"What does not change: {base}."]
    parts += [f"**{each}**" for each in result["conditions"].get("warnings", ())]
    for name, points in result["sweeps"].items():
        head = f"| {AXES[name].title} | {HEAD} |"
        rows = [_row(point) for point in points]
        parts.append("\n".join([f"## {name}", "", head, "|---:|---|---:|---:|---:|---:|---:|---:|", *rows]))
    return "\n\n".join(parts) + "\n"


def _row(point: Mapping[str, Any]) -> str:
    if point["failed"]:
        return f"| {point['value']} | {point['esp']} | {point['failed']} | | | | | |"
    rate = f"{point['kpps']:.4g} ({point['kpps_min']:.4g}..{point['kpps_max']:.4g})"
    memory = f"{point['octets_each']:.0f}" if point["octets_each"] else "-"
    spent = " | ".join("-" if point[key] is None else f"{point[key]:.2f}" for key in ("sending_us", "receiving_us"))
    rest = f"{point['payload_gbps']:.3g} | {spent} | {point['install_seconds']:.3g} | {memory}"
    return f"| {point['value']} | {point['esp']} | {rate} | {rest} |"


def chart(result: Mapping[str, Any]) -> str:
    """A line for each sweep, and the memory of SAs."""
    sweeps, caption = result["sweeps"], f"{result['conditions']['summary']}. UDP from left to right."
    charts = [
        _line(name, points, "kpps", "thousand packets a second", caption if name == list(sweeps)[-1] else "")
        for name, points in sweeps.items()
    ]
    many = [point for point in sweeps.get("sas", ()) if point["octets_each"]]
    return panels([*([_line("sas", many, "octets_each", "octets for each SA", "")] if many else []), *charts])


def _line(name: str, points: Sequence[Mapping[str, Any]], key: str, label: str, caption: str) -> str:
    known = [point for point in points if point[key] is not None]
    forms = dict.fromkeys(point["esp"] for point in known)
    series = {form: [(point["value"], point[key]) for point in known if point["esp"] == form] for form in forms}
    return line_chart(
        title=f"{label}, {AXES[name].title}",
        x_label=AXES[name].title,
        y_label=label,
        series=series,
        x_log=max((point["value"] for point in known), default=1) > LOGARITHMIC_FROM,
        caption=caption,
    )
