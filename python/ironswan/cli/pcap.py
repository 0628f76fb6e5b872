"""`ironswan pcap decrypt`: the packets inside ESP and AH of a capture, given the keys."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ironswan.cli import numbers, output, problems
from ironswan.cli.exit_codes import ExitCode
from ironswan.control.protocol import SCHEMA

if TYPE_CHECKING:
    from ironswan.pcap.decrypt import Decryption
    from ironswan.pcap.reader import Reader

_ESP_PORT = 4500
_PROGRESS_EVERY = 0.2
DECRYPT = """Write what the ESP and AH packets of a capture (pcap or pcapng) protect: the inner packets of tunnel mode,
and of transport mode the packets as they were before. Link type raw IP, timestamps in nanoseconds.

KEYS is Wireshark's esp_sa file, or TOML:

  [[sa]]
  spi = "0xc1234567"
  suite = "aes128gcm16"
  keymat = "encryption key, salt and integrity key in hexadecimal"
  src = "192.0.2.1"       # and dst, mode, esn, protocol: not needed

Exit code 0: at least one packet was decrypted, 1: none, 5: error in KEYS."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group to the program's commands."""
    group = commands.add_parser("pcap", help="look into captures of protected traffic")
    verbs = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    decrypt = verbs.add_parser(
        "decrypt",
        help="decrypt the ESP and AH packets of a capture",
        description=DECRYPT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    decrypt.add_argument("file", type=Path, metavar="FILE", help="the capture")
    decrypt.add_argument("--keys", type=Path, required=True, metavar="KEYS", help="the keys of the SAs")
    decrypt.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="pcapng if it ends in .pcapng, else pcap"
    )
    decrypt.add_argument(
        "--port", type=numbers.whole(1, 65535), action="append", default=[], metavar="N",
        help=f"another UDP port of encapsulated ESP, besides {_ESP_PORT}; may be repeated",
    )  # fmt: skip
    decrypt.add_argument("--json", action="store_true", help="print one JSON document")
    decrypt.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Decrypt one capture."""
    from ironswan.errors import ConfigurationError
    from ironswan.pcap import CaptureError

    try:
        run = _decrypt(arguments)
    except ConfigurationError as error:
        return problems.tell(error.problems, as_json=arguments.json)
    except (CaptureError, OSError) as error:
        print(f"ironswan: {output.words(error)}", file=sys.stderr)
        return ExitCode.FAILED
    return _report(run, arguments.json)


def _decrypt(arguments: argparse.Namespace) -> Decryption:
    from ironswan.pcap import CaptureError
    from ironswan.pcap.decrypt import Decryption
    from ironswan.pcap.keys import load
    from ironswan.pcap.reader import Reader
    from ironswan.pcap.sas import SaTable
    from ironswan.pcap.writer import Writer

    table = SaTable(load(arguments.keys))
    with Reader(arguments.file) as reader:
        out: Path = arguments.output
        if any(out.exists() and out.samefile(file) for file in (arguments.file, arguments.keys)):
            raise CaptureError(f"{out}: would be written over while it is read")
        with Writer(out) as writer:
            run = Decryption(table, frozenset({_ESP_PORT, *arguments.port}), writer)
            progress, end = _progress(reader)
            run.run(reader, progress)
            end()
    return run


def _progress(reader: Reader) -> tuple[Callable[[], None], Callable[[], None]]:
    """What draws a bar on a terminal, and what wipes it away."""
    if not sys.stderr.isatty():
        return (lambda: None), (lambda: None)
    began = drawn = time.monotonic()

    def draw() -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn >= _PROGRESS_EVERY:
            drawn = now
            part = min(1.0, reader.position / max(reader.size, 1))
            speed = reader.position * 8e-6 / (now - began)
            bar = "█" * round(part * 30)
            print(f"\r{part:4.0%} {bar:░<30} {speed:.0f} Mb/s ", end="", file=sys.stderr, flush=True)

    def wipe() -> None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    return draw, wipe


def _report(run: Decryption, as_json: bool) -> int:
    from ironswan.pcap.report import document, hint, render

    report = document(run)
    ok = report["totals"]["decrypted"] > 0
    print(json.dumps({"schema": SCHEMA, "ok": ok} | report) if as_json else render(report))
    if run.damage:
        print(f"ironswan: {run.damage}", file=sys.stderr)
    if not ok:
        print(f"ironswan: nothing was decrypted\n{hint(report)}", file=sys.stderr)
    return ExitCode.OK if ok else ExitCode.FAILED
