"""Two forwarders without SAs from the project's sources: the limits of segmentation offloads and system calls here.

One has no cipher, the other AES-128-GCM with one known key. They are one program of the benchmark only, built when it
is asked for; the gateway has no mode without cipher.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path

from ironswan.bench.tunnel.link import configure
from ironswan.bench.tunnel.peer import Ground, NotFound, Peer, Programs, Tunnel
from ironswan.lab.processes import Daemon, LabError
from ironswan.lab.traffic import Host

INTERFACE = "forward0"
# What AES-GCM's ESP in UDP adds to a packet that ends a block.
OVERHEAD = 78
PORT = 4500
SOURCE = Path("rust", "dataplane", "examples", "forwarder", "main.rs")
HOW = "it is built from the project's sources with cargo: run the benchmark in them"


def _sources() -> Path | None:
    here = Path(__file__).resolve()
    return next((folder for folder in (*here.parents, Path.cwd()) if (folder / SOURCE).exists()), None)


def locate() -> Programs:
    """What it is built with. Raises NotFound without sources or cargo."""
    folder, cargo = _sources(), shutil.which("cargo")
    if folder is None or cargo is None:
        raise NotFound(f"{HOW} (or say where it is: --peer forwarder=PATH)")
    return {"cargo": Path(cargo), "sources": folder}


@functools.cache
def build(cargo: Path, sources: Path) -> Path:
    """Build it, or find it built; the program. Raises LabError."""
    command = [str(cargo), "build", "--release", "-p", "ironswan-dataplane", "--example", "forwarder"]
    done = subprocess.run([*command, "--message-format=json"], cwd=sources, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"cargo could not build it: {done.stderr.strip()[-300:]}")
    artifacts = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return next(Path(each["executable"]) for each in artifacts if each.get("executable"))


def _raise(cipher: str, ground: Ground, programs: Programs) -> Tunnel:
    program = programs.get("forwarder") or build(programs["cargo"], programs["sources"])
    daemons = []
    for here, there in ground.pairs:
        ends = (f"{site.outer}:{PORT}" for site in (here, there))
        command = [str(program), INTERFACE, *ends, cipher]
        daemon = Daemon(here.namespace, command, ground.folder / f"{here.name}.log")
        ground.stack.callback(daemon.stop)
        configure(here, INTERFACE, ground.mtu - OVERHEAD)
        daemons.append(daemon)
    left, right = (Host(site.namespace, site.inner) for site in (ground.left, ground.right))
    return Tunnel(left, right, tuple(daemon.process.pid for daemon in daemons))


def _peer(name: str, title: str, cipher: str, word: str) -> Peer:
    return Peer(
        name,
        title,
        cipher,
        functools.partial(_raise, word),
        needs=(("forwarder",),),
        how_to_get=HOW,
        own=True,
        locate=locate,
    )


PEER = _peer("forwarder", "forwarder without cipher, all offloads", "none", "none")
CIPHER = _peer("forwarder-gcm", "the same with one fixed key", "AES-128-GCM", "aes128gcm16")
