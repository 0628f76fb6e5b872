"""The commands that speak to a running gateway: up, down, status, rekey, reload, stop."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from ironswan.cli import numbers
from ironswan.cli.exit_codes import ExitCode
from ironswan.control.protocol import CommandError, JsonObject

NAME = "connection, child, connection/child or connection/* (all of its children)"
# The gateway ends a command at its own timeout; we only stop waiting when it is silent for longer.
GRACE = 10.0
Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add all of them to the program's commands."""
    for name, text, handler in (("up", "set up Child SAs", handle_up), ("down", "delete SAs", handle_down)):
        parser = _command(commands, name, text, handler)
        parser.add_argument("name", metavar="NAME", help=NAME)
        _timeout(parser)
    parser = _command(commands, "status", "show what the gateway does", handle_status)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--dataplane", action="store_true", help="show the data plane's counters and offloads too")
    parser = _command(commands, "rekey", "replace the keys of a Child SA or an IKE SA now", handle_rekey)
    parser.add_argument("name", metavar="NAME", help=NAME)
    parser.add_argument("--ike", action="store_true", help="the IKE SA of the connection, not its children")
    _timeout(parser)
    _command(commands, "reload", "read the configuration again; an error in it changes nothing", handle_reload)
    _command(commands, "stop", "end the gateway in order", handle_stop)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    handler: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(handler=handler)
    return parser


def _timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=numbers.decimal(0.001, 3600),
        default=30.0,
        metavar="SECONDS",
        help="wait at most so long (default %(default)g)",
    )


def _ask(arguments: argparse.Namespace, command: str, *, until_closed: bool = False, **more: object) -> JsonObject:
    from ironswan.control.client import Client

    patience = float(more.get("timeout", 30.0)) + GRACE  # type: ignore[arg-type]
    return Client(arguments.socket).request(
        command, progress=_progress, patience=patience, until_closed=until_closed, **more
    )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"… {text}", file=sys.stderr, flush=True)


def handle_up(arguments: argparse.Namespace) -> int:
    """Set up and wait until it stands."""
    result = _ask(arguments, "up", name=arguments.name, timeout=arguments.timeout)
    took = result.get("handshake_ms")
    print(f"{result['name']} is up" + (f" ({took:.0f} ms)" if isinstance(took, int | float) else ""))
    return ExitCode.OK


def handle_down(arguments: argparse.Namespace) -> int:
    """Delete and wait until it is gone."""
    result = _ask(arguments, "down", name=arguments.name, timeout=arguments.timeout)
    print(f"{result['name']} is down")
    return ExitCode.OK


def handle_rekey(arguments: argparse.Namespace) -> int:
    """Rekey and wait until it is done."""
    kind = "ike" if arguments.ike else "child"
    result = _ask(arguments, "rekey", name=arguments.name, kind=kind, timeout=arguments.timeout)
    print(f"{result['name']}: {'the IKE SA was rekeyed' if arguments.ike else 'rekeyed'}")
    return ExitCode.OK


def handle_reload(arguments: argparse.Namespace) -> int:
    """Reload and say what changed."""
    try:
        result = _ask(arguments, "reload")
    except CommandError as error:
        if not isinstance(problems := error.details.get("problems"), list):
            raise
        print(*problems, sep="\n", file=sys.stderr)
        raise CommandError(error.code, "not reloaded, the running configuration stays") from None
    for word in ("added", "changed", "removed"):
        names = result.get(word)
        if isinstance(names, list) and names:
            print(f"{word}: {', '.join(map(str, names))}")
    if isinstance(restart := result.get("needs_restart"), list) and restart:
        print(f"takes effect at the next start: {', '.join(map(str, restart))}")
    print("reloaded")
    return ExitCode.OK


def handle_stop(arguments: argparse.Namespace) -> int:
    """Stop the gateway and wait until it has ended: another one may be started at once."""
    _ask(arguments, "stop", until_closed=True)
    return ExitCode.OK


def handle_status(arguments: argparse.Namespace) -> int:
    """Show the status."""
    result = _ask(arguments, "status")
    if arguments.json:
        print(json.dumps(result))
    else:
        from ironswan.cli.status_text import render

        print(render(result, dataplane=arguments.dataplane))
    return ExitCode.OK
