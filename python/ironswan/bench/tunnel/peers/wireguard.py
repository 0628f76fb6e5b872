"""WireGuard in user space: wireguard-go and Tailscale's fork of it. All such programs take the same configuration.

They are configured over the socket of WireGuard's cross-platform interface, so that `wg` is not needed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ironswan.bench.tunnel.link import configure
from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Site, Tunnel
from ironswan.bench.tunnel.peers import private
from ironswan.lab.processes import Daemon, LabError, until
from ironswan.lab.traffic import Host

CIPHER = "ChaCha20-Poly1305"
INTERFACE = "wg0"
PORT = 51820


@dataclass(frozen=True, slots=True)
class Program:
    """How one of them is started: the words after the program, and its environment."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


def raise_with(name: str, program: Program) -> Callable[[Ground, Programs], Tunnel]:
    """How to raise a tunnel with the program known as `name`."""

    def raise_tunnel(ground: Ground, programs: Programs) -> Tunnel:
        keys = {site.name: X25519PrivateKey.generate() for site in (ground.left, ground.right)}
        daemons = []
        for here, there in ground.pairs:
            daemon = private.start(ground, here, [str(programs[name]), *program.words], program.environment)
            daemons.append(daemon)
            _set(daemon, settings(keys[here.name], keys[there.name], there))
            configure(here, INTERFACE, ground.inner_mtu)
        left, right = (Host(site.namespace, site.inner) for site in (ground.left, ground.right))
        return Tunnel(left, right, tuple(daemon.process.pid for daemon in daemons))

    return raise_tunnel


def settings(own: X25519PrivateKey, other: X25519PrivateKey, there: Site) -> str:
    """The request that configures one side."""
    return (
        f"set=1\nprivate_key={own.private_bytes_raw().hex()}\nlisten_port={PORT}\n"
        f"public_key={other.public_key().public_bytes_raw().hex()}\nendpoint={there.outer}:{PORT}\n"
        f"replace_allowed_ips=true\nallowed_ip={there.inner}/32\n\n"
    )


def _set(daemon: Daemon, request: str) -> None:
    path = private.run_of(daemon) / "wireguard" / f"{INTERFACE}.sock"

    def is_there() -> bool:
        if not daemon.running:
            raise LabError(f"it ended: {daemon.text()[-300:]}")
        return path.exists()

    until(is_there, 10, "the configuration socket exists")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(10)
        link.connect(os.fspath(path))
        link.sendall(request.encode())
        answer = link.recv(4096).decode(errors="replace")
    if "errno=0" not in answer:
        raise LabError(f"it refused its configuration: {answer.strip()}")


_GO = Program(("-f", INTERFACE), {"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"})

PEER = Peer(
    "wireguard-go",
    "wireguard-go, newest",
    CIPHER,
    raise_with("wireguard-go", _GO),
    needs=(("wireguard-go", "wireguard"),),
    how_to_get="go install golang.zx2c4.com/wireguard@latest (makes a program named wireguard)",
)
TAILSCALE = Peer(
    "wireguard-go-tailscale",
    "wireguard-go, Tailscale's fork",
    CIPHER,
    raise_with("wireguard-go-tailscale", _GO),
    needs=(("wireguard-go-tailscale",),),
    how_to_get="go install github.com/tailscale/wireguard-go@v0.0.0-20260928213032-417aef361226, with GOBIN set to a "
    "folder of its own",
)
