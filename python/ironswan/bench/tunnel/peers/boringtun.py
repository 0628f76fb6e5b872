"""boringtun, Cloudflare's WireGuard in Rust."""

from __future__ import annotations

from ironswan.bench.tunnel.peer import Peer
from ironswan.bench.tunnel.peers import wireguard

_PROGRAM = wireguard.Program(("-f", "--disable-drop-privileges", "-t", "2", wireguard.INTERFACE), {"WG_SUDO": "1"})

PEER = Peer(
    "boringtun",
    "boringtun",
    wireguard.CIPHER,
    wireguard.raise_with("boringtun-cli", _PROGRAM),
    needs=(("boringtun-cli", "boringtun"),),
    how_to_get="cargo install boringtun-cli",
)
