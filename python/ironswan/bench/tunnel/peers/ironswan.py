"""ironswan itself: two gateway processes as an operator runs them."""

from __future__ import annotations

import secrets

from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Tunnel
from ironswan.bench.tunnel.peers import swanctl_conf
from ironswan.lab.gateways import Gateway, stop_all
from ironswan.lab.traffic import Host


def _raise(ground: Ground, _: Programs) -> Tunnel:
    secret = secrets.token_hex(32)
    gateways = []
    for here, there in ground.pairs:
        here.namespace.add_address("lo", f"{here.inner}/32")
        text = swanctl_conf.text(here, there, secret)
        gateways.append(Gateway(here.namespace, ground.folder, here.name, text))
    ground.stack.callback(stop_all, gateways)
    for gateway in gateways:
        gateway.start()
    gateways[0].command("up", name=swanctl_conf.CHILD, timeout=20)
    left, right = (Host(site.namespace, site.inner) for site in (ground.left, ground.right))
    return Tunnel(left, right, tuple(gateway.pid for gateway in gateways))


PEER = Peer("ironswan", "ironswan, ESP in UDP", swanctl_conf.CIPHER, _raise, own=True)
