"""The program `ironswan`: its commands, its options and how it says that something went wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ironswan.cli import bench, config, control, demo, pcap, run
from ironswan.cli.exit_codes import ExitCode
from ironswan.control.paths import default_socket
from ironswan.control.protocol import CommandError

INTERRUPTED = 130
EPILOG = """exit codes: 0 done, 1 failed, 2 wrong usage, 3 no gateway runs, 4 no such connection or child,
  5 error in the configuration, 6 the peer refused, 7 no answer in time, 8 not permitted or not available here,
  130 interrupted

examples:
  ironswan demo                    a tunnel on this machine, no configuration needed
  ironswan config check FILE       every error of a configuration, with file and line
  ironswan run FILE                run a gateway in the foreground
  ironswan up home/lan             set up the child lan of the connection home"""


class _Version(argparse.Action):
    """Looks the versions up only when they are asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and end."""
        import ironswan

        native = ironswan.native_version()
        print(f"ironswan {ironswan.__version__} (native module {native or 'not built'})")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="ironswan",
        description="An IPsec gateway in user space: IKEv2 and ESP without the kernel's IPsec.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the versions and end")
    top.add_argument(
        "--socket",
        type=Path,
        default=default_socket(),
        metavar="PATH",
        help="the gateway's control socket (default %(default)s, or $IRONSWAN_SOCKET)",
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for group in (demo, run, control, config, pcap, bench):
        group.add_parser(commands)
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = parser().parse_args(words)
    try:
        return int(arguments.handler(arguments))
    except CommandError as error:
        print(f"ironswan: {error.message}", file=sys.stderr)
        return int(error.code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`ironswan status | head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.FAILED)
