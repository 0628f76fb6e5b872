"""`ironswan config check`: every error of a configuration, without a gateway."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ironswan.cli import problems
from ironswan.cli.exit_codes import ExitCode
from ironswan.control.protocol import SCHEMA


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group to the program's commands."""
    group = commands.add_parser("config", help="look at a configuration file")
    verbs = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = verbs.add_parser(
        "check",
        help="name every error of FILE, with line and what to write instead",
        description="Read FILE as `ironswan run` would and name every error. Exit code 0: none, 5: some.",
    )
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument("--json", action="store_true", help="print one JSON document")
    check.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Check one file."""
    from ironswan.config import load
    from ironswan.errors import ConfigurationError

    try:
        configuration = load(arguments.file)
    except ConfigurationError as error:
        return problems.tell(error.problems, as_json=arguments.json)
    names = [f"{c.name}/{k.name}" for c in configuration.connections for k in c.children]
    if arguments.json:
        print(json.dumps({"schema": SCHEMA, "ok": True, "problems": [], "children": names}))
    else:
        print(f"{arguments.file}: no errors; {', '.join(names) or 'no connections'}")
    return ExitCode.OK
