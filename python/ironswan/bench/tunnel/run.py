"""A run as ordered: finds the peers, plays the rounds, and writes the document, the table and the chart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ironswan.bench.tunnel import programs, table
from ironswan.bench.tunnel.about import conditions
from ironswan.bench.tunnel.document import Document, build
from ironswan.bench.tunnel.draw import chart
from ironswan.bench.tunnel.generators import choose
from ironswan.bench.tunnel.link import LINK_MTU
from ironswan.bench.tunnel.peer import NotFound, Peer, Programs
from ironswan.bench.tunnel.peers import PEERS
from ironswan.bench.tunnel.rounds import Stage, Tell, play


class NothingThere(Exception):
    """None of the peers that were asked for is here."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be measured; `wanted` by the keys of the measures."""

    peers: tuple[str, ...]
    offloads: tuple[str, ...]
    rounds: int
    seconds: int
    wanted: tuple[str, ...]
    generator: str = "auto"
    places: Mapping[str, Path] = field(default_factory=dict)
    mtu: int = LINK_MTU


def measure(order: Order, tell: Tell) -> Document:
    """Play all rounds; `tell` hears of the progress. Raises NothingThere when there is nothing to play with."""
    found, not_found = search(order)
    for name, how in not_found.items():
        tell(f"{name} not found: {how}")
    if not found:
        raise NothingThere("; ".join(f"{name}: {how}" for name, how in not_found.items()))
    generator = choose(order.generator)
    about = conditions(order.mtu, order.rounds, order.seconds, generator.name)
    stage = Stage(found, generator, order.seconds, order.wanted, order.mtu)
    peers = [PEERS[name] for name in found]
    results = play(peers, order.offloads, order.rounds, stage.turn, tell=tell)
    return build(about, [(peer, programs.version(peer, found[peer.name])) for peer in peers], not_found, results)


def search(order: Order) -> tuple[dict[str, Programs], dict[str, str]]:
    """The peers that are here, with their programs, and for the others how to get them."""
    found: dict[str, Programs] = {}
    not_found: dict[str, str] = {}
    for name in order.peers:
        peer: Peer = PEERS[name]
        try:
            found[name] = programs.find(peer, order.places)
        except NotFound as why:
            not_found[name] = str(why)
    return found, not_found


def write(document: Document, folder: Path) -> list[Path]:
    """Write tunnel.json, tunnel.md and tunnel.svg; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "json": json.dumps(document, indent=1) + "\n",
        "md": table.markdown(document),
        "svg": chart(document),
    }
    files = [folder / f"tunnel.{suffix}" for suffix in texts]
    for file, text in zip(files, texts.values(), strict=True):
        file.write_text(text, encoding="utf-8")
    return files
