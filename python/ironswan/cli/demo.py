"""`ironswan demo`: two gateways, a tunnel and a look at it, on this machine."""

from __future__ import annotations

import argparse

from ironswan.cli import numbers


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program's."""
    parser = subparsers.add_parser(
        "demo",
        help="set up a tunnel between two gateways on this machine and examine it",
        description="Set up a tunnel between two gateways in namespaces of this machine, measure it, rekey it under "
        "traffic and look for readable packets on the wire. Leaves nothing behind.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument(
        "--seconds", type=numbers.decimal(0.5, 3600), default=3.0, metavar="N", help="of each measurement (default 3)"
    )
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from ironswan.lab import demo  # pyroute2 is slow to import and only needed here

    return demo.run(arguments.seconds, arguments.json)
