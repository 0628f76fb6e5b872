"""Finds the programs of the peers: where the user says, or on the path. Never fetches any."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import ironswan
from ironswan.bench.tunnel.peer import NotFound, Peer, Programs

# Daemons lie where a user's PATH does not lead.
DAEMONS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/ipsec", "/usr/libexec/ipsec", "/usr/lib/strongswan")


def variable(peer: str) -> str:
    """The environment variable that says where a peer is."""
    return f"IRONSWAN_PEER_{peer.upper().replace('-', '_')}"


def find(peer: Peer, places: Mapping[str, Path]) -> Programs:
    """The programs of `peer`; `places` has programs or folders by peer name. Raises NotFound."""
    place = places.get(peer.name)
    if place is None and (text := os.environ.get(variable(peer.name))):
        place = Path(text)
    if place is None and peer.locate is not None:
        return peer.locate()
    found: dict[str, Path] = {}
    for index, names in enumerate(peer.needs):
        program = _on_path(names) if place is None else _given(place, names, first=index == 0)
        if program is None:
            where = f"{place} has no {names[0]}; " if place is not None else ""
            raise NotFound(f"{where}{peer.how_to_get} (or say where it is: --peer {peer.name}=PATH)")
        found[names[0]] = program
    return found


def _given(place: Path, names: Sequence[str], *, first: bool) -> Path | None:
    """The first program is the file named by the user; the others lie beside it, or all lie in the folder named."""
    place = place.expanduser().resolve()
    if first and place.is_file():
        return place if os.access(place, os.X_OK) else None
    folder = place if place.is_dir() else place.parent
    beside = next((folder / name for name in names if os.access(folder / name, os.X_OK)), None)
    return beside or (None if first else _on_path(names))


def _on_path(names: Iterable[str]) -> Path | None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *DAEMONS])
    return next((Path(program) for name in names if (program := shutil.which(name, path=path))), None)


def version(peer: Peer, programs: Programs) -> str:
    """What the peer's first program says it is."""
    if peer.own:
        return f"ironswan {ironswan.__version__}"
    if not programs:
        return ""
    command = [str(next(iter(programs.values()))), *peer.version]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0][:100] if lines else ""
