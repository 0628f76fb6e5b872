"""`ironswan run`: a gateway in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from ironswan.policy.interface_name import MAIN_INTERFACE, checked

DESCRIPTION = """Run a gateway in the foreground, until SIGTERM or SIGINT; SIGHUP reads FILE again.

Every packet a connection protects goes through the interface ipsec0 or nowhere: a rule of priority 220 sends all
packets but the gateway's own to routing table 220, where protected prefixes are unreachable whenever no tunnel carries
them, even after the gateway was killed. Starting it again, or ending it in order, clears that.

Strict reverse path filtering (net.ipv4.conf.*.rp_filter = 1) may stay as it is; only where a policy covers the peer's
own address (0.0.0.0/0, say) and the peer's packets come in fragments does it have to be 2 (loose) or 0. ironswan does
not change it."""


def _interface(text: str) -> str:
    try:
        return checked(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program's."""
    parser = commands.add_parser(
        "run",
        help="run a gateway in the foreground",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="configuration, as swanctl.conf has it")
    parser.add_argument(
        "--interface",
        type=_interface,
        default=MAIN_INTERFACE,
        metavar="NAME",
        help="name of the TUN device (%(default)s)",
    )
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Run the gateway."""
    import asyncio

    from ironswan.gateway.daemon import run

    return asyncio.run(run(arguments.file, arguments.socket, tun_name=arguments.interface))
