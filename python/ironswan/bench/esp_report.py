"""What `esp` measured, as a document for programs, a table for people and a sheet of charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ironswan.bench import chart, traffic
from ironswan.bench.conditions import Conditions
from ironswan.bench.esp import DIRECTIONS, OURS, Figure, Findings

SCHEMA = 1
DEFINITIONS = {
    "size": "octets of the whole inner packet (IPv4, UDP), tunnel mode, ESP without outer header",
    "imix": traffic.IMIX_DEFINITION,
    "ns": "nanoseconds a packet: median of the repetitions, least and most; all threads together",
    "gbps": "10^9 bits of inner packets a second, from the median",
    "batch": "packets in one call; 1 for a library that takes them one by one",
}
_STEADY = 0.2
_COLUMNS = ("suite", "size", "batch", "threads", "library")
_WIDTHS = (18, 6, 6, 8, 13)
_Key = tuple[str, int | str, int, int, str]
_Chart = Callable[[Sequence[Figure], str, str], str]


def document(found: Findings, conditions: Conditions) -> dict[str, Any]:
    """The JSON document."""
    return {
        "schema": SCHEMA,
        "benchmark": "esp",
        "conditions": conditions.to_dict(),
        "definitions": DEFINITIONS,
        "results": [_result(figure) for figure in found.figures],
        "not_installed": found.not_installed,
        "lacking": found.lacking,
    }


def _result(figure: Figure) -> dict[str, Any]:
    return {
        "library": figure.implementation,
        "suite": figure.suite,
        "size": figure.size,
        "octets": figure.octets,
        "batch": figure.batch,
        "threads": figure.threads,
        "direction": figure.direction,
        "ns": {"median": figure.ns.median, "least": figure.ns.least, "most": figure.ns.most},
        "packets_per_second": figure.packets_per_second,
        "gbps": figure.gbps,
        "unsteady": _is_unsteady(figure),
    }


def table(found: Findings, conditions: Conditions) -> str:
    """For people: a row for each library, suite, size, batch length and number of threads."""
    rows: dict[_Key, dict[str, Figure]] = {}
    for figure in found.figures:
        key = (figure.suite, figure.size, figure.batch, figure.threads, figure.implementation)
        rows.setdefault(key, {})[figure.direction] = figure
    head = _cells(_COLUMNS) + "".join(f" {f'{way} ns/packet':>23} {'kpps':>8} {'Gb/s':>7}" for way in DIRECTIONS)
    lines = [head, *(_cells(key) + "".join(_cell(row[way]) for way in DIRECTIONS) for key, row in rows.items()), ""]
    lines += [f"{library} is not installed" for library in found.not_installed]
    lines += [f"{library} has no {', '.join(suites)}" for library, suites in found.lacking.items()]
    if any(figure.size == traffic.IMIX for figure in found.figures):
        lines.append(f"imix: {traffic.IMIX_DEFINITION}")
    lines.append("ns/packet: median (least..most) of the repetitions; Gb/s of inner packets; size: octets of one")
    if unsteady := sum(map(_is_unsteady, found.figures)):
        lines.append(
            f"unsteady: the repetitions of {unsteady} of {len(found.figures)} figures lie more than {_STEADY:.0%} from"
            " the median; other programs took the CPU"
        )
    return "\n".join([*lines, f"measured on: {conditions.text()}"])


def _is_unsteady(figure: Figure) -> bool:
    return figure.ns.most - figure.ns.least > 2 * _STEADY * figure.ns.median


def _cells(values: Iterable[object]) -> str:
    return "".join(f"{value!s:<{width}}" for value, width in zip(values, _WIDTHS, strict=True))


def _cell(figure: Figure) -> str:
    ns = f"{figure.ns.median:.0f} ({figure.ns.least:.0f}..{figure.ns.most:.0f})"
    return f" {ns:>23} {_digits(figure.packets_per_second / 1e3):>8} {_digits(figure.gbps):>7}"


def _digits(value: float) -> str:
    """Three digits of a small number, none behind the point of a large one."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.01 else f"{value:.4f}"


def plot(found: Findings, conditions: Conditions) -> str:
    """One SVG: the suites beside the alternatives, and over whatever was varied of size, batch length and threads."""
    ours = [figure for figure in found.figures if figure.implementation == OURS]
    kinds: list[_Chart] = [_libraries]
    kinds += [_by_size] if len({figure.size for figure in ours if isinstance(figure.size, int)}) > 1 else []
    kinds += [_by_batch] if len({figure.batch for figure in ours}) > 1 else []
    kinds += [_by_threads] if len({figure.threads for figure in ours}) > 1 else []
    sheets = [(kind, direction) for kind in kinds for direction in DIRECTIONS]
    notes = [""] * (len(sheets) - 1) + [f"Medians of the repetitions. {conditions.text()}"]
    charts = [
        kind([figure for figure in found.figures if figure.direction == direction], direction, note)
        for (kind, direction), note in zip(sheets, notes, strict=True)
    ]
    return chart.panels(charts)


def _libraries(figures: Sequence[Figure], direction: str, caption: str) -> str:
    size, batch, threads = _largest_size(figures), _most(figures), _fewest_threads(figures)
    suites = list(dict.fromkeys(figure.suite for figure in figures))
    series: dict[str, list[float | None]] = {}
    for figure in figures:
        ours = figure.implementation == OURS
        if figure.size == size and (not ours or (figure.batch, figure.threads) == (batch, threads)):
            name = f"{OURS}, batches of {batch}" if ours else figure.implementation
            values = series.setdefault(name, [None] * len(suites))
            values[suites.index(figure.suite)] = figure.packets_per_second / 1e3
    title = f"ESP {direction}, {_named(size)}, {_threads(threads)}"
    return chart.bar_chart(
        title=title, value_label="thousand packets a second", groups=suites, series=series, caption=caption
    )


def _by_size(figures: Sequence[Figure], direction: str, caption: str) -> str:
    batch, threads = _most(figures), _fewest_threads(figures)
    chosen = [f for f in figures if f.batch == batch and f.threads == threads and isinstance(f.size, int)]
    return chart.line_chart(
        title=f"ESP {direction} by packet size, batches of {batch}, {_threads(threads)}",
        x_label="octets of the inner packet",
        y_label="Gb/s of inner packets",
        series=_lines(chosen, lambda figure: (figure.octets, figure.gbps)),
        x_log=True,
        caption=caption,
    )


def _by_batch(figures: Sequence[Figure], direction: str, caption: str) -> str:
    size, threads = _largest_size(figures), _fewest_threads(figures)
    return chart.line_chart(
        title=f"ESP {direction} by batch length, {_named(size)}, {_threads(threads)}",
        x_label="packets a batch",
        y_label="ns a packet",
        series=_lines(
            [f for f in figures if f.size == size and f.threads == threads], lambda f: (float(f.batch), f.ns.median)
        ),
        x_log=True,
        caption=caption,
    )


def _by_threads(figures: Sequence[Figure], direction: str, caption: str) -> str:
    size, batch = _largest_size(figures), _most(figures)
    return chart.line_chart(
        title=f"ESP {direction} by threads, one SA each, {_named(size)}, batches of {batch}",
        x_label="threads",
        y_label="Gb/s of inner packets",
        series=_lines(
            [f for f in figures if f.size == size and f.batch == batch], lambda f: (float(f.threads), f.gbps)
        ),
        x_log=True,
        caption=caption,
    )


def _lines(
    figures: Iterable[Figure], point: Callable[[Figure], tuple[float, float]]
) -> dict[str, list[tuple[float, float]]]:
    """Our own points by suite, from left to right."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for figure in figures:
        if figure.implementation == OURS:
            lines.setdefault(figure.suite, []).append(point(figure))
    return {suite: sorted(points) for suite, points in lines.items()}


def _largest_size(figures: Iterable[Figure]) -> int | str:
    return max((figure.size for figure in figures), key=lambda size: size if isinstance(size, int) else 0)


def _most(figures: Iterable[Figure]) -> int:
    return max(figure.batch for figure in figures if figure.implementation == OURS)


def _fewest_threads(figures: Iterable[Figure]) -> int:
    return min(figure.threads for figure in figures if figure.implementation == OURS)


def _named(size: int | str) -> str:
    return f"packets of {size} octets" if isinstance(size, int) else traffic.IMIX


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"
