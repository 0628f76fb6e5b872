"""Runs a program with a /run of its own, so that its sockets and files meet nobody else's and leave nothing behind."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ironswan.bench.tunnel.peer import Ground, Site
from ironswan.lab.processes import Daemon

_MOUNT = "mount -t tmpfs none /run && mkdir /run/wireguard"


def start(ground: Ground, site: Site, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Daemon:
    """Start `command` in the site's namespace; it is stopped with the ground."""
    script = f"{_MOUNT} && exec {shlex.join(command)}"
    wrapped = ["unshare", "-m", "--propagation", "private", "sh", "-c", script]
    daemon = Daemon(site.namespace, wrapped, ground.folder / f"{site.name}.log", environment)
    ground.stack.callback(daemon.stop)
    return daemon


def run_of(daemon: Daemon) -> Path:
    """The daemon's /run, as seen from here."""
    return Path(f"/proc/{daemon.process.pid}/root/run")
