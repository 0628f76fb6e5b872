"""The plain link without a tunnel: what this machine can do at most."""

from __future__ import annotations

from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Tunnel
from ironswan.lab.traffic import Host


def _raise(ground: Ground, _: Programs) -> Tunnel:
    left, right = (Host(site.namespace, site.outer) for site in (ground.left, ground.right))
    return Tunnel(left, right)


PEER = Peer("veth", "plain link, no tunnel", "none", _raise)
