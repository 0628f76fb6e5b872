"""`ironswan bench scale`: the data plane against the number of SAs, packet size, super-packets and workers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ironswan.cli import numbers
from ironswan.cli.exit_codes import ExitCode
from ironswan.cli.output import failures_in_words, make_folder
from ironswan.control.protocol import CommandError

AXES = ("sas", "size", "segments", "workers")
FORMS = ("udp", "plain", "raw", "nowhere")
RESULTS = Path("benches", "results")
SECONDS = numbers.decimal(0.05, 3600)
DESCRIPTION = """Measures how the data plane scales, between two namespaces of this machine, with static keys and
without IKE: packets a second against the SAs in use, the packet size, the packets in a super-packet of the TUN, and
the workers; and the memory and time SAs take. One thing changes at a time."""


def _forms(text: str) -> tuple[str, ...]:
    forms = tuple(dict.fromkeys(text.split(",")))
    if not set(forms) <= set(FORMS):
        raise argparse.ArgumentTypeError(f"each must be one of {', '.join(FORMS)}")
    return forms


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `ironswan bench`."""
    parser = subparsers.add_parser(
        "scale", help="the data plane against SAs, packet size, super-packets and workers", description=DESCRIPTION
    )
    add = parser.add_argument
    for axis in AXES:
        add(
            f"--{axis}",
            type=numbers.listed(numbers.whole(1, 1 << 20)),
            metavar="N,M",
            help=f"values of {axis}; without any such option all axes",
        )
    add("--esp", type=_forms, default=FORMS[:1], metavar="FORM,FORM", help=f"of {', '.join(FORMS)} (default udp)")
    add("--seconds", type=SECONDS, default=2.0, metavar="N", help="of each measurement (default 2)")
    add("--rounds", type=numbers.whole(1, 99), default=3, metavar="N", help="for each point (default 3)")
    add("--patience", type=SECONDS, default=60.0, metavar="N", help="seconds SAs may take to install (default 60)")
    add(
        "--in-a-row",
        type=numbers.whole(1, 1 << 20),
        default=32,
        metavar="N",
        help="packets for one SA before the next (default 32)",
    )
    add("--offload", choices=("whole", "frames"), default="whole", help="of the link (default whole)")
    add("--output", type=Path, default=RESULTS, metavar="DIR", help=f"where the files go (default {RESULTS})")
    add("--json", action="store_true", help="print the JSON document instead of tables")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Measure, print and write."""
    import ironswan
    from ironswan.lab.privileges import obstacle, terminated_like_interrupted

    if ironswan.native_version() is None:
        raise CommandError(ExitCode.PERMISSION, "the native module is not built, so there is nothing to measure")
    if (missing := obstacle()) is not None:
        raise CommandError(ExitCode.PERMISSION, missing)
    from ironswan.bench.scale import report, sweep
    from ironswan.bench.tunnel.about import conditions
    from ironswan.bench.tunnel.link import LINK_MTU

    wanted = {axis: values for axis in AXES if (values := getattr(arguments, axis))}
    wanted = wanted or {axis: sweep.defaults(axis) for axis in AXES}
    base = sweep.Setting(in_a_row=arguments.in_a_row)
    effort = sweep.Effort(arguments.seconds, arguments.rounds, arguments.patience, arguments.offload)
    about = conditions(LINK_MTU, effort.rounds, round(effort.seconds), "none")
    make_folder(arguments.output)
    with failures_in_words(), terminated_like_interrupted():
        found = sweep.sweep(wanted, base, effort, _tell, forms=arguments.esp)
    result = report.document(found, base, effort, about)
    texts = {"json": json.dumps(result, indent=1) + "\n", "md": report.markdown(result), "svg": report.chart(result)}
    print(texts["json" if arguments.json else "md"], end="", flush=True)
    with failures_in_words():
        for suffix, text in texts.items():
            (arguments.output / f"scale.{suffix}").write_text(text, encoding="utf-8")
    return ExitCode.FAILED if any(p.failed for points in found.values() for p in points) else ExitCode.OK


def _tell(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)
