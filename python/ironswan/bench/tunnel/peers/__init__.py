"""The peers, one a file, in the order of the report."""

from __future__ import annotations

from ironswan.bench.tunnel.peer import Peer
from ironswan.bench.tunnel.peers import (
    boringtun,
    forwarder,
    gotatun,
    ironswan,
    nebula,
    openvpn,
    strongswan,
    veth,
    wireguard,
)

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        veth.PEER,
        forwarder.PEER,
        forwarder.CIPHER,
        ironswan.PEER,
        ironswan.PLAIN,
        strongswan.PEER,
        wireguard.TAILSCALE,
        wireguard.PEER,
        gotatun.PEER,
        boringtun.PEER,
        nebula.PEER,
        openvpn.PEER,
    )
}
