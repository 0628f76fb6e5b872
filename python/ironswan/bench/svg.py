"""SVG in strings: shapes, escaped text, and one style sheet that follows the reader's light or dark colour scheme."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape

# Colour-blind safe; each is readable on the background of its scheme. Past the last they begin again, with other marks.
LIGHT = ("#0969b2", "#c2410c", "#0b7a5b", "#9a3a86", "#8a6100", "#3b4cc0", "#b3173f", "#4d5560")
DARK = ("#58b0f5", "#fb9a5c", "#3fcfa4", "#e08fcf", "#e3b341", "#a3adff", "#ff8095", "#aab4bf")
COLOURS = len(LIGHT)
_FONT = "font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif"
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _colours(palette: Iterable[str], paper: str, ink: str, faint: str, grid: str) -> str:
    rules = [
        f".paper{{fill:{paper}}}.ink{{fill:{ink}}}.faint{{fill:{faint}}}.grid{{stroke:{grid}}}.axis{{stroke:{faint}}}"
    ]
    rules += [f".f{i}{{fill:{colour}}}.l{i}{{stroke:{colour}}}" for i, colour in enumerate(palette)]
    return "".join(rules)


STYLE = (
    f"<style>text{{{_FONT}}}.line{{fill:none;stroke-width:2;stroke-linejoin:round}}.grid,.axis{{stroke-width:1}}"
    + _colours(LIGHT, "#ffffff", "#1f2328", "#59636e", "#d8dee4")
    + "@media (prefers-color-scheme:dark){"
    + _colours(DARK, "#0d1117", "#e6edf3", "#9198a1", "#30363d")
    + "}</style>"
)


def text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, css: str = "ink", more: str = ""
) -> str:
    """Words with their baseline at (x, y); `more` are further attributes."""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}{more}>{clean(words)}</text>'


def clean(words: str) -> str:
    """Words as XML text; what XML cannot hold becomes U+FFFD."""
    return escape(_NOT_XML.sub("\ufffd", words))


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rect(x: float, y: float, width: float, height: float, css: str, note: str = "") -> str:
    """A filled rectangle; `note` is shown when one points at it."""
    shape = f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f"{shape}><title>{clean(note)}</title></rect>" if note else f"{shape}/>"


def polyline(points: Iterable[tuple[float, float]], css: str, dashes: str = "") -> str:
    """A line through points."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline class="line {css}" points="{places}"{dashed}/>'


def mark(x: float, y: float, shape: int, css: str, note: str = "") -> str:
    """A small circle, square, triangle or diamond, so that series differ without their colours too."""
    corners = (
        "",
        "M-3.5-3.5h7v7h-7z",
        "M0-4.6 4.4 3.2h-8.8z",
        "M0-5 5 0 0 5-5 0z",
    )[shape % 4]
    inside = f"<title>{clean(note)}</title>" if note else ""
    if not corners:
        return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="3.8">{inside}</circle>'
    return f'<path class="{css}" transform="translate({x:.1f} {y:.1f})" d="{corners}">{inside}</path>'


def document(width: int, height: int, body: Iterable[str], *, title: str, description: str) -> str:
    """A whole drawing."""
    size = f'width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" role="img">'
        f"<title>{clean(title)}</title><desc>{clean(description)}</desc>{STYLE}"
        f'<rect class="paper" {size}/>{"".join(body)}</svg>\n'
    )
