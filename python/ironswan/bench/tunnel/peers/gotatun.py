"""GotaTun, Mullvad's fork of boringtun."""

from __future__ import annotations

from ironswan.bench.tunnel.peer import Peer
from ironswan.bench.tunnel.peers import wireguard

_PROGRAM = wireguard.Program(("-f", "--disable-drop-privileges", "-v", "error", wireguard.INTERFACE), {"WG_SUDO": "1"})

PEER = Peer(
    "gotatun",
    "GotaTun",
    wireguard.CIPHER,
    wireguard.raise_with("gotatun", _PROGRAM),
    needs=(("gotatun",),),
    how_to_get="cargo install gotatun-cli",
)
