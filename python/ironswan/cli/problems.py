"""Mistakes in a file that the operator wrote, for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ironswan.cli.exit_codes import ExitCode
from ironswan.control.protocol import SCHEMA

if TYPE_CHECKING:
    from ironswan.errors import Problem


def tell(problems: Sequence[Problem], *, as_json: bool) -> ExitCode:
    """Print them, one a line on stderr or one document on stdout; the exit code."""
    if as_json:
        print(json.dumps({"schema": SCHEMA, "ok": False, "problems": [asdict(problem) for problem in problems]}))
    else:
        print(*problems, sep="\n", file=sys.stderr)
    return ExitCode.CONFIGURATION
