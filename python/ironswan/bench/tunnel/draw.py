"""The document as charts: a bar for each peer and kind of link, and lines over the packet size if sizes were asked."""

from __future__ import annotations

from functools import partial

from ironswan.bench.chart import bar_chart, line_chart, panels
from ironswan.bench.tunnel.document import Document
from ironswan.bench.tunnel.measures import CPU_MACHINE, LOADED99, TCP, UDP64, single_size

BARS = {
    TCP: "One TCP stream through the tunnel",
    UDP64: "Packets a second, 64 octets of UDP payload",
    LOADED99: "Round trip beside a TCP stream, 99th percentile",
    CPU_MACHINE: "Processor time of the whole machine a gigabyte",
}
FEWEST_SIZES = 3


def chart(document: Document) -> str:
    """The SVG with everything worth drawing; the conditions stand below the last one."""
    draw = [partial(_bars, document, key, title) for key, title in BARS.items() if key in document["measures"]]
    draw += _lines(document)
    return panels([each(caption="") for each in draw[:-1]] + [each(caption=caption(document)) for each in draw[-1:]])


def caption(document: Document) -> str:
    """The conditions, in a few lines."""
    about = document["conditions"]
    how = f"{about['rounds']} rounds of {about['seconds']} s, medians; link MTU {about['link_mtu']}"
    shared = "both gateways and both ends of the traffic share the machine"
    kinds = " ".join(f"{name}: {what}." for name, what in document["offloads"].items())
    return "\n".join([f"{how}; {about['tcp_generator']}; {shared}.", kinds, f"{about['summary']}.", *about["warnings"]])


def _median(document: Document, peer: str, offload: str, key: str) -> float | None:
    for row in document["results"]:
        if (row["peer"], row["offload"]) == (peer, offload) and key in row["figures"]:
            return float(row["figures"][key]["median"])
    return None


def _bars(document: Document, key: str, title: str, *, caption: str) -> str:
    measure, names = document["measures"][key], [peer["name"] for peer in document["peers"]]
    better = "more is better" if measure["more_is_better"] else "less is better"
    return bar_chart(
        title=title,
        value_label=f"{measure['unit']} ({better})",
        groups=names,
        series={o: [_median(document, name, o, key) for name in names] for o in document["offloads"]},
        caption=caption,
    )


def _lines(document: Document) -> list[partial[str]]:
    sizes = sorted((size, key) for key in document["measures"] if (size := single_size(key)) is not None)
    if len(sizes) < FEWEST_SIZES:
        return []
    return [
        partial(
            line_chart,
            title=f"Packets a second by payload, link offloads: {offload}",
            x_label="octets of UDP payload",
            y_label="thousand packets a second",
            series={peer["name"]: _points(document, peer["name"], offload, sizes) for peer in document["peers"]},
            x_log=True,
        )
        for offload in document["offloads"]
    ]


def _points(document: Document, peer: str, offload: str, sizes: list[tuple[int, str]]) -> list[tuple[float, float]]:
    found = ((size, _median(document, peer, offload, key)) for size, key in sizes)
    return [(size, value) for size, value in found if value is not None]
