"""ironswan itself: two gateway processes as an operator runs them, with ESP in UDP and with plain ESP."""

from __future__ import annotations

import secrets

from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Tunnel
from ironswan.bench.tunnel.peers import swanctl_conf
from ironswan.gateway.mtu import USUAL_PATH
from ironswan.lab.gateways import Gateway, stop_all
from ironswan.lab.traffic import Host


def connected(ground: Ground, *, encap: bool = True) -> tuple[Gateway, Gateway]:
    """Start both gateways and set the tunnel up."""
    secret = secrets.token_hex(32)
    # What nobody vouches for is taken for the internet's 1500.
    path = f"path_mtu = {ground.mtu}" if ground.mtu > USUAL_PATH else ""
    gateways = []
    for here, there in ground.pairs:
        here.namespace.add_address("lo", f"{here.inner}/32")
        text = swanctl_conf.text(here, there, secret, encap=encap, more=path)
        gateways.append(Gateway(here.namespace, ground.folder, here.name, text))
    ground.stack.callback(stop_all, gateways)
    for gateway in gateways:
        gateway.start()
    left, right = gateways
    left.command("up", name=swanctl_conf.CHILD, timeout=20)
    return left, right


def hosts(ground: Ground) -> tuple[Host, Host]:
    """The ends that talk through the tunnel."""
    return Host(ground.left.namespace, ground.left.inner), Host(ground.right.namespace, ground.right.inner)


def _raise(ground: Ground, _: Programs) -> Tunnel:
    return Tunnel(*hosts(ground), tuple(gateway.pid for gateway in connected(ground)))


def _raise_plain(ground: Ground, _: Programs) -> Tunnel:
    return Tunnel(*hosts(ground), tuple(gateway.pid for gateway in connected(ground, encap=False)))


PEER = Peer("ironswan", "ironswan, ESP in UDP", swanctl_conf.CIPHER, _raise, own=True)
PLAIN = Peer("ironswan-esp", "ironswan, plain ESP", swanctl_conf.CIPHER, _raise_plain, own=True)
