"""The data plane's part of the status document as tables for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from ironswan.cli.status_text import octets

Document = dict[str, Any]
_BUCKETS = ("1", "2", "3-4", "5-8", "9-16", "17-32", "33-64", "65+")
_BAR = 24
_WIDTH = 120
_KINDS = {
    "tun_read": "packets in a frame read from the TUN",
    "udp_send_run": "packets in a run sent as one message",
    "udp_receive_message": "packets in a message received",
    "tun_write": "packets in a frame written to the TUN",
}
_GROUPS = {
    "traffic": ("sealed_packets", "sealed_bytes", "opened_packets", "opened_bytes"),
    "TUN": ("tun_reads", "tun_packets", "tun_writes", "coalesced_packets"),
    "UDP": ("udp_send_calls", "udp_send_runs", "udp_receive_calls", "udp_receive_messages", "udp_datagrams"),
    "plain ESP": ("plain_send_calls", "plain_sends", "plain_raw_sends", "plain_packets", "plain_raw_packets"),
    "control": ("ike_datagrams", "keepalives", "acquires", "held_frames"),
}
# Where an offload shows at work: batches of more than one packet.
_EVIDENCE = {"udp_segment": ("udp_send_run", "messages sent"), "udp_gro": ("udp_receive_message", "messages received")}


def lines(document: Document) -> Iterator[str]:
    """Offloads, what was carried, why packets were dropped, what each SA did, how large batches were."""
    plane = document["dataplane"]
    yield "\ndata plane"
    yield from _offloads(document)
    yield from _carried(plane)
    yield from _dropped(plane["counters"])
    yield from _by_sa(document)
    for kind, buckets in plane["batches"].items():
        yield from _histogram(_KINDS.get(kind, kind), buckets)


def _table(rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    """Rows with their columns aligned, the first `left` and the last to the left; the last may be of any width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)] if rows else []
    for *cells, last in rows:
        parts = [f"{c:<{w}}" if i < left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        yield "    " + "  ".join([*parts, last]).rstrip()


def _offloads(document: Document) -> Iterator[str]:
    plane = document["dataplane"]
    rows = [("", "asked", "in use", "")]
    for name, in_use in plane["offloads"].items():
        asked = plane["offloads_asked"].get(name, False)
        rows.append((name, *("yes" if each else "no" for each in (asked, in_use)), _remark(document, name)))
    yield from _table(rows)


def _remark(document: Document, name: str) -> str:
    plane = document["dataplane"]
    asked, in_use = plane["offloads_asked"].get(name, False), plane["offloads"][name]
    said = ["there is one CPU" if name == "affinity" else "the kernel refuses"] if asked and not in_use else []
    if name in _EVIDENCE and in_use:
        kind, what = _EVIDENCE[name]
        buckets = plane["batches"].get(kind, ())
        if any(buckets):
            said.append(f"{sum(buckets[1:])} of {sum(buckets)} {what} were runs")
    if name == "udp_segment" and (refused := sum(bool(sa.get("segmentation_refused")) for _, sa in _sas(document))):
        said.append(f"the kernel refuses on the paths of {refused} SAs")
    return "; ".join(said)


def _carried(plane: Document) -> Iterator[str]:
    counters = {name: count for name, count in plane["counters"].items() if "drop" not in name}
    grouped = {name for names in _GROUPS.values() for name in names}
    groups = {**_GROUPS, "other": tuple(name for name in counters if name not in grouped)}
    for title, names in groups.items():
        rows = [(name, str(counters[name]), _by_worker(plane, name)) for name in names if name in counters]
        if any(counters[name] for name, _, _ in rows):
            yield f"\n  {title}"
            yield from _table(rows)


def _by_worker(plane: Document, name: str) -> str:
    each = [counters.get(name, 0) for counters in plane["worker_counters"]]
    return f"({' + '.join(map(str, each))})" if len(each) > 1 and any(each) else ""


def _dropped(counters: dict[str, int]) -> Iterator[str]:
    reasons = {name.removeprefix("drop_"): count for name, count in counters.items() if "drop" in name}
    some = sorted(((name, count) for name, count in reasons.items() if count), key=lambda item: -item[1])
    yield "\n  dropped" if some else "\n  dropped: nothing"
    yield from _table([(name, str(count), "") for name, count in some])
    if some:
        never = "never: " + ", ".join(name for name, count in reasons.items() if not count)
        yield from textwrap.wrap(never, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _sas(document: Document) -> Iterator[tuple[str, Document]]:
    for sa in document["ike_sas"]:
        for child in sa["children"]:
            yield f"{sa['connection']}/{child['name']}", child


def _by_sa(document: Document) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("SA", "", "SPI", "packets", "octets", "dropped", "sequence", "window", "")]
    for name, child in _sas(document):
        if child["packets_in"] is not None:
            rows.append((name, *_half(child, "in", child["inbound_spi"])))
            rows.append((name, *_half(child, "out", child["outbound_spi"])))
    if len(rows) > 1:
        yield ""
        yield from _table(rows, left=3)


def _half(child: Document, way: str, spi: str) -> tuple[str, ...]:
    drops: dict[str, int] = child.get(f"drops_{way}", {})
    said = [f"{name} {count}" for name, count in sorted(drops.items(), key=lambda item: -item[1])]
    if way == "out" and child.get("segmentation_refused"):
        said.append("packets go one by one")
    packets, volume = child[f"packets_{way}"], octets(child[f"bytes_{way}"])
    window = str(child["replay_window"]) if way == "in" else "-"
    sequence = str(child[f"sequence_{way}"])
    return way, spi, str(packets), volume, str(sum(drops.values())), sequence, window, ", ".join(said)


def _histogram(title: str, buckets: list[int]) -> Iterator[str]:
    total, highest = sum(buckets), max(buckets, default=0)
    if not total:
        return
    yield f"\n  {title}"
    for label, count in zip(_BUCKETS, buckets, strict=True):
        bar = "#" * max(round(_BAR * count / highest), count > 0)
        yield f"    {label:>5}  {bar:<{_BAR}}  {count:>{len(str(highest))}}  {100 * count / total:5.1f} %"
