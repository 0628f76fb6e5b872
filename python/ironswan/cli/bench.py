"""`ironswan bench`: what the parts of the gateway can do on this machine. Here the group, and `bench esp`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ironswan.cli import bench_flood, bench_scale, bench_tunnel, numbers
from ironswan.cli.exit_codes import ExitCode
from ironswan.control.protocol import CommandError

if TYPE_CHECKING:
    from ironswan.bench.esp import Plan

T = TypeVar("T")
_MOST_THREADS = 256
_MOST_BATCH = 4096
ESP = """Measure what sealing and opening ESP packets costs through the library `ironswan.esp`, in this process, without
sockets: nanoseconds a packet, packets and Gb/s a second, for encap and decap. In the same run `cryptography` and scapy
(where it is installed) do the same work packet by packet.

--suite, --size and --batch may be repeated; everything is measured with everything."""
ESP_EXAMPLES = """examples:
  ironswan bench esp                                       the usual suites, 64 and 1420 octets and a mix
  ironswan bench esp --quick                               the same in a few seconds, less exact
  ironswan bench esp --suite aes128gcm16 --batch 1 --batch 8 --batch 64 --plot batch.svg
  ironswan bench esp --suite aes256gcm16 --size 1420 --threads 4 --json

Exit code 1: packets were dropped or came out wrong, 2: no such suite, 8: the native module is not built."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group to the program's commands."""
    group = commands.add_parser("bench", help="measure what ironswan can do on this machine")
    verbs = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_esp, bench_tunnel.add_parser, bench_scale.add_parser, bench_flood.add_parser):
        add(verbs)


def _add_esp(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "esp",
        help="sealing and opening batches of ESP packets",
        description=ESP,
        epilog=ESP_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--suite", action="append", metavar="SUITE", help="such as aes128gcm16 or aes128-sha256")
    which.add_argument("--all-suites", action="store_true", help="every suite there is")
    parser.add_argument("--size", type=_size, action="append", metavar="N", help="octets of an inner packet, or imix")
    parser.add_argument(
        "--batch",
        type=numbers.whole(1, _MOST_BATCH),
        action="append",
        metavar="N",
        help="packets in one call (default 64)",
    )
    parser.add_argument(
        "--threads",
        type=numbers.whole(1, _MOST_THREADS),
        default=1,
        metavar="N",
        help="measure with 1, 2, 4 ... N threads too",
    )
    parser.add_argument("--alone", action="store_true", help="leave the other libraries out")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer repetitions")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the results as well")
    parser.set_defaults(handler=handle_esp)


def _size(text: str) -> int | str:
    from ironswan.bench import traffic

    try:
        return traffic.size(text)
    except ValueError:
        limits = f"from {traffic.LEAST} to {traffic.MOST}"
        raise argparse.ArgumentTypeError(f"must be {limits}, or {traffic.IMIX}") from None


def handle_esp(arguments: argparse.Namespace) -> int:
    """Measure ESP and print what was found."""
    import ironswan

    if ironswan.native_version() is None:
        raise CommandError(ExitCode.PERMISSION, "the native module is not built, so there is nothing to measure")
    from ironswan.bench import conditions, esp, esp_report
    from ironswan.bench.timing import MeasurementError

    plan = _plan(arguments)
    try:
        esp.check_suites(plan.suites)
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, str(error)) from None
    about = conditions.gather(plan.alternatives)
    say, wipe = progress()
    try:
        found = esp.measure(plan, say)
    except MeasurementError as error:
        raise CommandError(ExitCode.FAILED, str(error)) from None
    finally:
        wipe()
    print(json.dumps(esp_report.document(found, about)) if arguments.json else esp_report.table(found, about))
    if arguments.plot:
        write_plot(arguments.plot, esp_report.plot(found, about))
    return ExitCode.OK


def _plan(arguments: argparse.Namespace) -> Plan:
    from ironswan.bench import esp
    from ironswan.bench.timing import Effort

    suites: Sequence[str] = arguments.suite or esp.DEFAULT_SUITES
    return esp.Plan(
        suites=esp.all_suites() if arguments.all_suites else _once(suites),
        sizes=_once(arguments.size or esp.DEFAULT_SIZES),
        batches=_once(arguments.batch or esp.DEFAULT_BATCHES),
        threads=_doubling(arguments.threads),
        alternatives=() if arguments.alone else esp.ALTERNATIVES,
        effort=Effort(3, 0.005) if arguments.quick else Effort(),
    )


def _once(values: Sequence[T]) -> list[T]:
    return list(dict.fromkeys(values))


def _doubling(most: int) -> list[int]:
    """1, 2, 4 and so on, and the last."""
    return sorted({most, *(1 << i for i in range(most.bit_length()))})


def progress() -> tuple[Callable[[str], None], Callable[[], None]]:
    """What says on a terminal what is being measured, and what wipes that away; silent when stderr is no terminal."""
    if not sys.stderr.isatty():
        return (lambda _: None), (lambda: None)
    return (
        lambda words: print(f"\r\x1b[K… {words}", end="", file=sys.stderr, flush=True),
        lambda: print("\r\x1b[K", end="", file=sys.stderr, flush=True),
    )


def write_plot(path: Path, drawing: str) -> None:
    """Write the charts. Raises CommandError if that is not possible."""
    try:
        path.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise CommandError(ExitCode.FAILED, f"{path}: {error.strerror}") from None
