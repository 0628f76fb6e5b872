"""The data plane's part of the status document as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Document = dict[str, Any]
_BUCKETS = ("1", "2", "3-4", "5-8", "9-16", "17-32", "33-64", "65+")
_BAR = 24
_KINDS = {
    "tun_read": "packets in a frame read from the TUN",
    "udp_send_run": "packets in a run sent as one message",
    "udp_receive_message": "packets in a message received",
    "tun_write": "packets in a frame written to the TUN",
}


def lines(document: Document) -> Iterator[str]:
    """Offloads, what was carried, why packets were dropped, how large batches were."""
    plane = document["dataplane"]
    yield "\ndata plane"
    yield from _table(plane["offloads"].items(), lambda on: "on" if on else "off")
    counters = plane["counters"]
    yield "\n  carried"
    carried = ((name, count) for name, count in counters.items() if "drop" not in name)
    yield from _table(((name, _by_worker(plane, name, count)) for name, count in carried), str)
    dropped = sorted((item for item in counters.items() if "drop" in item[0] and item[1]), key=lambda item: -item[1])
    yield "\n  dropped" if dropped else "\n  dropped: nothing"
    yield from _table(((name.removeprefix("drop_"), count) for name, count in dropped), str)
    yield from _by_sa(document)
    for kind, buckets in plane["batches"].items():
        yield from _histogram(_KINDS.get(kind, kind), buckets)


def _table(items: Iterable[tuple[str, Any]], shown: Any) -> Iterator[str]:  # noqa: ANN401
    rows = [(name, shown(value)) for name, value in items]
    names, values = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
    for name, value in rows:
        yield f"    {name:<{names}}  {value:>{values}}"


def _by_worker(plane: Document, name: str, count: int) -> str:
    each = [counters[name] for counters in plane["worker_counters"]]
    return f"{count} ({' + '.join(map(str, each))})" if count and len(each) > 1 else str(count)


def _by_sa(document: Document) -> Iterator[str]:
    for sa in document["ike_sas"]:
        for child in sa["children"]:
            for way, spi in (("in", child["inbound_spi"]), ("out", child["outbound_spi"])):
                if drops := child.get(f"drops_{way}"):
                    reasons = ", ".join(f"{name} {count}" for name, count in sorted(drops.items()))
                    yield f"    by {sa['connection']}/{child['name']} {spi} {way}: {reasons}"


def _histogram(title: str, buckets: list[int]) -> Iterator[str]:
    total, highest = sum(buckets), max(buckets, default=0)
    if not total:
        return
    yield f"\n  {title}"
    for label, count in zip(_BUCKETS, buckets, strict=True):
        bar = "#" * max(round(_BAR * count / highest), count > 0)
        yield f"    {label:>5}  {bar:<{_BAR}}  {count:>{len(str(highest))}}  {100 * count / total:5.1f} %"
