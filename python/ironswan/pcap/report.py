"""What a decryption came to: a document for programs, a table for people, and a hint when nothing was decrypted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ironswan.pcap.decrypt import Decryption
from ironswan.pcap.finder import Found
from ironswan.pcap.sas import MetSa

Document = dict[str, Any]
_COLUMNS = ("SPI", "source", "destination", "suite", "packets", "decrypted", "replays", "failures")
_UNMATCHED_COLUMNS = ("SPI", "source", "destination", "protocol", "packets")
_LISTED = 20
_COUNTED = {
    Found.IKE: "ike",
    Found.KEEPALIVE: "keepalives",
    Found.FRAGMENT: "fragments",
    Found.TRUNCATED: "truncated",
    Found.MALFORMED: "malformed",
    Found.OTHER: "other_ip",
}


def document(run: Decryption) -> Document:
    """Everything that was counted. No key is in it."""
    matched = run.table.matched
    unmatched = [_selector(sa) | {"packets": sa.packets} for sa in run.table.unmatched]
    totals = run.totals
    failures = sum((sa.failures for sa in matched), Counter())
    return {
        "sas": [_sa(sa) for sa in matched],
        "unmatched": unmatched,
        "totals": {
            "frames": totals.frames,
            "esp": totals.found[Found.ESP],
            "esp_in_udp": totals.found[Found.ESP_IN_UDP],
            "coalesced": totals.coalesced,
            "ah": totals.found[Found.AH],
            "decrypted": sum(sa.decrypted for sa in matched),
            "octets": sum(sa.octets for sa in matched),
            "replays": sum(sa.replays for sa in matched),
            "dummies": sum(sa.dummies for sa in matched),
            "failures": dict(failures),
            "unmatched": sum(sa["packets"] for sa in unmatched) + run.table.others.packets,
            **{name: totals.found[found] for found, name in _COUNTED.items()},
            "not_ip": totals.not_ip,
            "unknown_link_types": {str(link): count for link, count in totals.unknown_links.items()},
        },
        "damage": run.damage,
    }


def _selector(sa: MetSa) -> Document:
    source, destination = sa.endpoints
    return {"protocol": sa.protocol, "spi": f"{sa.spi:#010x}", "source": source, "destination": destination}


def _sa(sa: MetSa) -> Document:
    return _selector(sa) | {
        "suite": sa.keys.suite if sa.keys is not None else "",
        "packets": sa.packets,
        "decrypted": sa.decrypted,
        "octets": sa.octets,
        "replays": sa.replays,
        "dummies": sa.dummies,
        "failures": dict(sa.failures),
    }


def render(report: Document) -> str:
    """The document as a table of SAs and a line of totals."""
    return "\n".join(_lines(report))


def _lines(report: Document) -> Iterator[str]:
    if report["sas"]:
        yield from _table(_COLUMNS, [_row(sa) for sa in report["sas"]])
        yield ""
    totals = report["totals"]
    yield (
        f"{totals['frames']} frames: {totals['esp']} ESP, {totals['esp_in_udp']} ESP in UDP, {totals['ah']} AH; "
        f"{totals['decrypted']} packets decrypted, {totals['octets']} octets"
    )
    names = ("replays", "dummies", "unmatched", *_COUNTED.values(), "not_ip")
    rest = [f"{name.replace('_', ' ')} {totals[name]}" for name in names if totals[name]]
    rest += [f"{reason.replace('_', ' ')} {count}" for reason, count in totals["failures"].items()]
    rest += [f"link type {link} not known {count}" for link, count in totals["unknown_link_types"].items()]
    if rest:
        yield f"not decrypted: {', '.join(rest)}"


def _row(sa: Document) -> tuple[str, ...]:
    reasons = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sa["failures"].items())
    counts = (str(sa[name]) for name in ("packets", "decrypted", "replays"))
    return sa["spi"], sa["source"], sa["destination"], sa["suite"], *counts, reasons or "0"


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def hint(report: Document) -> str:
    """Why nothing was decrypted, and what to do."""
    return "\n".join(_hints(report))


def _hints(report: Document) -> Iterator[str]:
    totals, unmatched = report["totals"], report["unmatched"]
    for sa in report["sas"]:
        if sa["failures"].get("icv_mismatch", 0) + sa["failures"].get("malformed", 0) == sa["packets"]:
            yield f"the key or the suite of SA {sa['spi']} is wrong: no packet of it is authentic under {sa['suite']}"
        elif sa["failures"].get("other_mode", 0):
            yield f"what SA {sa['spi']} carries is not in the mode that the keys file says: leave mode out"
    if unmatched and not report["sas"]:
        yield "no SA of the keys file has the SPI and addresses of any packet; the capture has:"
        rows = [tuple(str(sa[column.lower()]) for column in _UNMATCHED_COLUMNS) for sa in unmatched[:_LISTED]]
        yield from (f"  {line}" for line in _table(_UNMATCHED_COLUMNS, rows))
        if len(unmatched) > _LISTED:
            yield f"  and {len(unmatched) - _LISTED} more"
    if totals["truncated"]:
        yield f"{totals['truncated']} packets were cut when they were captured: capture whole packets (tcpdump -s 0)"
    if totals["fragments"]:
        yield f"{totals['fragments']} packets are fragments, which are not put together"
    if totals["unknown_link_types"]:
        yield f"frames of link type {', '.join(totals['unknown_link_types'])} are not understood"
    if not unmatched and not report["sas"]:
        yield "no whole ESP or AH packet is in the capture; UDP encapsulation on a port other than 4500 needs --port"
