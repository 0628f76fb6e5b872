"""What the gateway's process locks for itself and what it starts, seen in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ironswan

# Before and after, and once more in a program that was started afterwards.
PROGRAM = """
import ctypes, json, resource, subprocess, sys

PR_GET_DUMPABLE = 3

def look():
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    return {
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "dumpable": ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
        "no_new_privs": int(status["NoNewPrivs"]),
    }

if sys.argv[1:] == ["started"]:
    print(json.dumps(look()))
    raise SystemExit

from ironswan.gateway.hardening import harden
before = look()
harden()
after = look()
started = subprocess.run([sys.executable, "-c", sys.argv[1], "started"], capture_output=True, text=True, check=True)
print(json.dumps({"before": before, "after": after, "started": json.loads(started.stdout)}))
"""


def seen() -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(Path(ironswan.__file__).parent.parent)}
    arguments = [sys.executable, "-c", PROGRAM, PROGRAM]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)
    return json.loads(ended.stdout)


def test_gateway_leaves_no_core_lets_nobody_read_its_memory_and_starts_nothing_with_more_rights() -> None:
    found = seen()
    assert found["before"]["dumpable"] == 1
    assert found["after"] == {"core": [0, 0], "dumpable": 0, "no_new_privs": 1}
    # Being dumpable begins anew with a program; the limits do not.
    assert found["started"]["core"] == [0, 0]
    assert found["started"]["no_new_privs"] == 1
