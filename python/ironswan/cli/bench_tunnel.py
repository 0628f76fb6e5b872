"""`ironswan bench tunnel`: ironswan and its peers side by side, on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ironswan.cli import numbers
from ironswan.cli.exit_codes import ExitCode
from ironswan.cli.output import failures_in_words, make_folder
from ironswan.control.protocol import CommandError

if TYPE_CHECKING:  # pyroute2 is slow to import and only needed when something is measured
    from ironswan.bench.tunnel.run import Order

OFFLOADS = {"whole": ("whole",), "frames": ("frames",), "both": ("whole", "frames")}
RESULTS = Path("benches", "results")
COUNT = numbers.whole(1, 3600)
DESCRIPTION = """Measures tunnels one after the other between two namespaces of this machine: the plain link, a
forwarder without and with a cipher, ironswan, and every peer found (strongSwan, wireguard-go, GotaTun, boringtun,
Nebula, OpenVPN). Each has its turn in every round; medians with the smallest and the largest go into a table, a JSON
document and a chart. Leaves nothing behind but those."""
EPILOG = """A peer is looked for on the path, or where $IRONSWAN_PEER_NAME (upper case, - as _) or --peer says. One
that is missing is listed with how to get it; none is fetched. Without root this needs user namespaces. Leave the
machine alone meanwhile: a full run of all peers takes about half an hour."""


def _place(text: str) -> tuple[str, Path]:
    name, sign, path = text.partition("=")
    if not sign or not path:
        raise argparse.ArgumentTypeError("must be NAME=PATH")
    return name, Path(path)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `ironswan bench`."""
    parser = subparsers.add_parser(
        "tunnel",
        help="measure tunnels of ironswan and others side by side on this machine",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("--only", type=_names, metavar="A,B", help="these peers only (see --list)")
    add("--list", action="store_true", help="list the peers, and which of them are here, and end")
    add("--peer", type=_place, action="append", default=[], metavar="NAME=PATH", help="a peer's program, or its folder")
    add("--offload", choices=OFFLOADS, help="whether the link carries super-packets whole or frames (default both)")
    add("--rounds", type=COUNT, metavar="N", help="how often each peer has its turn (default 3)")
    add("--seconds", type=COUNT, metavar="N", help="of each measurement (default 3)")
    add(
        "--sizes",
        type=numbers.listed(numbers.whole(1, 65507)),
        default=(),
        metavar="N,M",
        help="UDP payloads to send besides 64, 512 and IMIX",
    )
    add(
        "--mtu",
        type=numbers.whole(1360, 65535),
        metavar="N",
        help="of the link; tunnels have less as each needs (default 1500)",
    )
    add("--quick", action="store_true", help="one round of one second, few measurements, whole only, no files")
    add("--generator", choices=("auto", "iperf3", "own"), default="auto", help="of TCP (default: iperf3 if it is here)")
    add("--output", type=Path, metavar="DIR", help=f"where the files go (default {RESULTS})")
    add("--json", action="store_true", help="print the JSON document instead of the table")
    parser.set_defaults(handler=handle, parser=parser)


def handle(arguments: argparse.Namespace) -> int:
    """List the peers, or measure, print and write."""
    from ironswan.lab.privileges import obstacle

    order = _order(arguments)
    if arguments.list:
        return _list(order)
    if (missing := obstacle()) is not None:
        raise CommandError(ExitCode.PERMISSION, missing)
    return _measure(order, arguments)


def _order(arguments: argparse.Namespace) -> Order:
    from ironswan.bench.tunnel.link import LINK_MTU
    from ironswan.bench.tunnel.measures import MEASURES, QUICK, udp_key
    from ironswan.bench.tunnel.peers import PEERS
    from ironswan.bench.tunnel.run import Order

    names = arguments.only or tuple(PEERS)
    if unknown := {*names, *(name for name, _ in arguments.peer)} - PEERS.keys():
        arguments.parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    quick, sizes = arguments.quick, (udp_key(size) for size in arguments.sizes)
    return Order(
        peers=tuple(dict.fromkeys(names)),
        offloads=OFFLOADS[arguments.offload or ("whole" if quick else "both")],
        rounds=arguments.rounds or (1 if quick else 3),
        seconds=arguments.seconds or (1 if quick else 3),
        wanted=tuple(dict.fromkeys([*(QUICK if quick else MEASURES), *sizes])),
        generator=arguments.generator,
        mtu=arguments.mtu or LINK_MTU,
        places=dict(arguments.peer),
    )


def _list(order: Order) -> int:
    from ironswan.bench.tunnel import programs
    from ironswan.bench.tunnel.peers import PEERS
    from ironswan.bench.tunnel.run import search

    found, not_found = search(order)
    for name in order.peers:
        peer = PEERS[name]
        version = programs.version(peer, found[name]) if name in found else f"not found: {not_found[name]}"
        print(f"{name:<24}{peer.title}{'; ' if version else ''}{version}")
    return ExitCode.OK


def _measure(order: Order, arguments: argparse.Namespace) -> int:
    from ironswan.bench.tunnel import run, table
    from ironswan.lab.privileges import terminated_like_interrupted

    folder = arguments.output or (None if arguments.quick else RESULTS)
    if folder is not None:
        make_folder(folder)
    try:
        with failures_in_words(), terminated_like_interrupted():
            document = run.measure(order, _tell)
    except run.NothingThere as error:
        raise CommandError(ExitCode.PERMISSION, str(error)) from error
    print(json.dumps(document, indent=1) if arguments.json else table.markdown(document), flush=True)
    if folder is not None:
        with failures_in_words():
            files = run.write(document, folder)
        for file in files:
            _tell(f"wrote {file}")
    return ExitCode.FAILED if any(row["failed"] for row in document["results"]) else ExitCode.OK


def _tell(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)
