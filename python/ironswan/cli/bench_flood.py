"""`ironswan bench flood`: what a tunnel still carries while its gateway is flooded with garbage."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ironswan.cli import numbers
from ironswan.cli.exit_codes import ExitCode
from ironswan.cli.output import failures_in_words
from ironswan.control.protocol import CommandError

if TYPE_CHECKING:
    from ironswan.bench.flood import Result

DESCRIPTION = """Sends a flood of garbage to port 4500 of one of two gateways, both in namespaces of this machine, while
an established tunnel between them carries UDP packets at a steady rate, and says how many of these still arrive. Kinds
of garbage: ESP of unknown SAs, ESP of the tunnel's SA with a wrong ICV, random octets behind the non-ESP marker,
IKE_SA_INIT with a sound header and nothing sound behind it, and single octets. Meanwhile the tunnel is rekeyed,
which needs both gateways' answers."""
COUNT = numbers.whole(1, 10_000_000)
KINDS = ("unknown_spi", "wrong_icv", "marker", "ike_header", "runt")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `ironswan bench`."""
    parser = subparsers.add_parser("flood", help="a tunnel beside a flood of garbage", description=DESCRIPTION)
    add = parser.add_argument
    add("--kind", choices=KINDS, action="append", help="kind of garbage; may be repeated (default all)")
    add("--rate", type=COUNT, default=200_000, metavar="N", help="datagrams a second of the flood (default 200000)")
    add("--traffic", type=COUNT, default=20_000, metavar="N", help="packets a second in the tunnel (default 20000)")
    add("--seconds", type=numbers.whole(1, 3600), default=3, metavar="N", help="of each measurement (default 3)")
    add("--json", action="store_true", help="print the JSON document instead of a table")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Measure and print. Exit code 1: a flooded gateway did not answer any more."""
    import ironswan
    from ironswan.lab.privileges import obstacle, terminated_like_interrupted

    if ironswan.native_version() is None:
        raise CommandError(ExitCode.PERMISSION, "the native module is not built, so there is nothing to measure")
    if (missing := obstacle()) is not None:
        raise CommandError(ExitCode.PERMISSION, missing)
    from ironswan.bench.flood import Plan, document, measure
    from ironswan.bench.tunnel.about import conditions
    from ironswan.bench.tunnel.link import LINK_MTU

    plan = Plan(arguments.rate, arguments.traffic, float(arguments.seconds))
    found = []
    with failures_in_words(), terminated_like_interrupted():
        for kind in arguments.kind or KINDS:
            print(f"… {kind}", file=sys.stderr, flush=True)
            found.append(measure(kind, plan))
    about = conditions(LINK_MTU, 1, arguments.seconds, "none")
    if arguments.json:
        print(json.dumps(document(found, about), indent=1))
    else:
        print("\n".join(_table(found)))
    return ExitCode.OK if all(each.answers for each in found) else ExitCode.FAILED


def _table(found: list[Result]) -> list[str]:
    rows = [
        "| garbage | flood kpps | tunnel kpps before | during | kept | longest rekey | dropped as |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in found:
        dropped = ", ".join(f"{name.removeprefix('drop_')} {count}" for name, count in each.dropped.items())
        rates = " | ".join(f"{rate / 1000:.1f}" for rate in (each.flood, each.before, each.during))
        rekey = f"{each.rekey_ms:.0f} ms" if each.answers else "failed"
        rows.append(f"| {each.kind} | {rates} | {100 * each.kept:.0f} % | {rekey} | {dropped} |")
    return rows
