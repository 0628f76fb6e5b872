"""Where the control socket is when nobody says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def default_socket(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> Path:
    """$IRONSWAN_SOCKET; else /run/ironswan.sock for root and $XDG_RUNTIME_DIR/ironswan.sock for others."""
    if named := environ.get("IRONSWAN_SOCKET"):
        return Path(named)
    own = environ.get("XDG_RUNTIME_DIR")
    if (os.geteuid() if uid is None else uid) and own:
        return Path(own) / "ironswan.sock"
    return Path("/run/ironswan.sock")
