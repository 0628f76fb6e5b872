"""Charts as SVG text, without any library: lines, bars, and several of them on one sheet.

Knows nothing of what is drawn. Every chart says its units on its axes, its conditions as a caption, and its figures
once more in `<desc>` for those who cannot see it.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from ironswan.bench import scales, svg
from ironswan.bench.scales import Scale

Points = Sequence[tuple[float, float]]

WIDTH = 760
_PLOT_HEIGHT = 290
_MARGIN = 20
_LEFT = 68
_LEGEND_ROW = 20
_CAPTION_LETTERS = 122
_CAPTION_ROW = 15
_BAR = 15
_GROUP_GAP = 12
_SIZE = re.compile(r'<svg [^>]*?width="(\d+)" height="(\d+)"')
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


def line_chart(
    *,
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Points],
    x_log: bool = False,
    y_log: bool = False,
    caption: str = "",
) -> str:
    """One line for each series of (x, y) points; axes that are not logarithmic begin at zero.

    A logarithmic x axis has its ticks at the values themselves if they are few, else at powers of two or 1, 2, 5, 10.
    Points that are not finite are left out. Raises ValueError for a value that is not positive on a logarithmic axis.
    """
    known = {name: [p for p in points if all(map(math.isfinite, p))] for name, points in series.items()}
    top, head = _head(title, list(known), with_lines=True)
    bottom = top + _PLOT_HEIGHT
    values = [point for points in known.values() for point in points]
    x = _x_scale([x for x, _ in values], x_log)
    y = (scales.logarithmic if y_log else scales.linear)([y for _, y in values], bottom, top)
    body = [*head, *_frame(x, y, x_label, y_label)]
    for i, (name, points) in enumerate(known.items()):
        body += _series(i, name, points, x, y)
    if not values:
        body.append(_nothing((top + bottom) / 2))
    foot, height = _caption(caption, bottom + 44)
    spoken = _spoken(x_label, y_label, {name: [(scales.label(a), b) for a, b in ps] for name, ps in known.items()})
    return svg.document(WIDTH, height, [*body, *foot], title=title, description=spoken)


def bar_chart(
    *,
    title: str,
    value_label: str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    caption: str = "",
) -> str:
    """Horizontal bars: in each group one bar a series, from zero. None is a value that does not exist and is said so.

    Raises ValueError unless every series has one value for each group.
    """
    for name, values in series.items():
        if len(values) != len(groups):
            raise ValueError(f"series {name!r} has {len(values)} values for {len(groups)} groups")
    top, head = _head(title, list(series), with_lines=False)
    group_height = max(len(series), 1) * _BAR + _GROUP_GAP
    bottom = top + max(len(groups), 1) * group_height
    left = min(30 + 7.2 * max(map(len, groups), default=0), 260)
    known = [value for values in series.values() for value in values if value is not None]
    x = scales.linear(known, left, WIDTH - 74)
    body = [*head, *(svg.line(x.place(t), top, x.place(t), bottom, "grid") for t in x.ticks)]
    body += [svg.text(x.place(t), bottom + 17, scales.label(t), anchor="middle", css="faint") for t in x.ticks]
    body.append(svg.text((x.start + x.end) / 2, bottom + 36, value_label, anchor="middle"))
    for i, group in enumerate(groups):
        y = top + i * group_height + _GROUP_GAP / 2
        body.append(svg.text(left - 8, y + len(series) * _BAR / 2 + 4, group, anchor="end"))
        body += _bars(group, {name: values[i] for name, values in series.items()}, x, y)
    body.append(svg.line(x.place(0), top, x.place(0), bottom, "axis"))
    if not known:
        body.append(_nothing((top + bottom) / 2 + 4))
    foot, height = _caption(caption, bottom + 44)
    spoken = _spoken("group", value_label, {name: list(zip(groups, vs, strict=True)) for name, vs in series.items()})
    return svg.document(WIDTH, height, [*body, *foot], title=title, description=spoken)


def panels(charts: Sequence[str]) -> str:
    """Several of this module's charts one below the other as one SVG. Raises ValueError for what is no such chart."""
    parts: list[str] = []
    width = height = 0
    for chart in charts:
        size = _SIZE.match(chart)
        if size is None:
            raise ValueError("panels are charts of this module")
        parts.append(chart.rstrip("\n").replace("<svg ", f'<svg y="{height}" ', 1))
        width, height = max(width, int(size[1])), height + int(size[2])
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    )
    return f'{opening} role="group" aria-label="{len(charts)} charts">\n' + "\n".join(parts) + "\n</svg>\n"


def _head(title: str, names: Sequence[str], *, with_lines: bool) -> tuple[int, list[str]]:
    """Title and legend; and where the plot may begin."""
    body = [svg.text(_MARGIN, 30, title, size=16, more=' font-weight="600"')]
    x, y = float(_MARGIN), 54
    for i, name in enumerate(names):
        wide = 38 + 7.2 * len(name)
        if x + wide > WIDTH - _MARGIN and x > _MARGIN:
            x, y = float(_MARGIN), y + _LEGEND_ROW
        body += [*_key(i, x, y, with_lines=with_lines), svg.text(x + 26, y + 4, name)]
        x += wide
    return (y + 18 if names else 48), body


def _key(i: int, x: float, y: float, *, with_lines: bool) -> list[str]:
    colour = i % svg.COLOURS
    if not with_lines:
        return [svg.rect(x + 6, y - 6, 12, 12, f"f{colour}")]
    return [svg.polyline([(x, y), (x + 20, y)], f"l{colour}", _dashes(i)), svg.mark(x + 10, y, _shape(i), f"f{colour}")]


def _dashes(i: int) -> str:
    return _DASHES[i // svg.COLOURS % len(_DASHES)]


def _shape(i: int) -> int:
    """Another one when the colours begin again."""
    return i + i // svg.COLOURS


def _x_scale(values: Sequence[float], log: bool) -> Scale:
    """Marks at the ends of a logarithmic axis keep off the frame; a linear one begins at the frame."""
    start, end = _LEFT, WIDTH - _MARGIN - 14
    return scales.logarithmic(values, start + 14, end, at_values=True) if log else scales.linear(values, start, end)


def _frame(x: Scale, y: Scale, x_label: str, y_label: str) -> list[str]:
    """Grid, ticks, their labels and the names of the axes."""
    left, right, top, bottom = _LEFT, WIDTH - _MARGIN, y.end, y.start
    body = []
    for tick in y.ticks:
        at = y.place(tick)
        body += [svg.line(left, at, right, at, "grid")]
        body += [svg.text(left - 8, at + 4, scales.label(tick), anchor="end", css="faint")]
    for tick in x.ticks:
        at = x.place(tick)
        body += [svg.line(at, bottom, at, bottom + 5, "axis")]
        body += [svg.text(at, bottom + 19, scales.label(tick), anchor="middle", css="faint")]
    middle = (top + bottom) / 2
    body += [svg.line(left, bottom, right, bottom, "axis"), svg.line(left, top, left, bottom, "axis")]
    body += [svg.text((left + right) / 2, bottom + 38, x_label, anchor="middle")]
    return [*body, svg.text(18, middle, y_label, anchor="middle", more=f' transform="rotate(-90 18 {middle:.1f})"')]


def _series(i: int, name: str, points: Points, x: Scale, y: Scale) -> Iterable[str]:
    places = [(x.place(a), y.place(b)) for a, b in points]
    colour = i % svg.COLOURS
    if len(places) > 1:
        yield svg.polyline(places, f"l{colour}", _dashes(i))
    for place, (a, b) in zip(places, points, strict=True):
        yield svg.mark(*place, _shape(i), f"f{colour}", f"{name}: {scales.label(a)}, {scales.label(b)}")


def _bars(group: str, values: Mapping[str, float | None], x: Scale, y: float) -> Iterable[str]:
    for i, (name, value) in enumerate(values.items()):
        top, colour = y + i * _BAR, i % svg.COLOURS
        if value is None:
            yield svg.text(x.place(0) + 6, top + 11, f"{name}: none", size=11, css="faint")
            continue
        begin, end = sorted((x.place(0), x.place(value)))
        said = scales.label(value)
        yield svg.rect(begin, top + 1, end - begin, _BAR - 2, f"f{colour}", f"{group}, {name}: {said}")
        yield svg.text(end + 6, top + 11, said, size=11)


def _nothing(y: float) -> str:
    return svg.text(WIDTH / 2, y, "nothing was measured", anchor="middle", css="faint")


def _caption(words: str, below: float) -> tuple[list[str], int]:
    """The caption in lines, and the height of the whole."""
    rows = [row for part in words.splitlines() for row in textwrap.wrap(part, _CAPTION_LETTERS)]
    drawn = [svg.text(_MARGIN, below + 16 + i * _CAPTION_ROW, row, size=11, css="faint") for i, row in enumerate(rows)]
    return drawn, round(below + 10 + len(rows) * _CAPTION_ROW + (8 if rows else 0))


def _spoken(of: str, value_label: str, series: Mapping[str, Sequence[tuple[str, float | None]]]) -> str:
    """Every figure in words."""
    told = (
        f"{name}: " + ", ".join(f"{key} {'none' if value is None else scales.label(value)}" for key, value in values)
        for name, values in series.items()
    )
    return f"{value_label} by {of}. " + ". ".join(told)
