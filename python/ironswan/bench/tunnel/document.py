"""The result of a run as one JSON document. The tables and the charts are made from it, and so can be made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ironswan.bench.tunnel.link import OFFLOADS
from ironswan.bench.tunnel.measures import in_order, measure_of
from ironswan.bench.tunnel.peer import Peer
from ironswan.bench.tunnel.rounds import Result

SCHEMA = 1
Document = dict[str, Any]


def build(
    conditions: Mapping[str, Any],
    peers: Sequence[tuple[Peer, str]],
    not_found: Mapping[str, str],
    results: Sequence[Result],
) -> Document:
    """The document: `peers` with their versions, `not_found` with how to get them."""
    keys = in_order({key for result in results for key in result.figures})
    return {
        "schema": SCHEMA,
        "benchmark": "tunnel",
        "conditions": dict(conditions),
        "offloads": {name: OFFLOADS[name] for name in dict.fromkeys(result.offload for result in results)},
        "measures": {key: asdict(measure_of(key)) for key in keys},
        "peers": [{"name": p.name, "title": p.title, "cipher": p.cipher, "version": version} for p, version in peers],
        "not_found": dict(not_found),
        "results": [_row(result) for result in results],
    }


def _row(result: Result) -> Document:
    return {
        "peer": result.peer,
        "offload": result.offload,
        "figures": {
            key: {"median": _round(f.median), "min": _round(f.low), "max": _round(f.high), "rounds": f.rounds}
            for key, f in result.figures.items()
        },
        "noisy_rounds": result.noisy_rounds,
        "failed": result.failed,
    }


def _round(value: float) -> float:
    return float(f"{value:.4g}")
