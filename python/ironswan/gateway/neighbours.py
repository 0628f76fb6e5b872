"""The kernel's neighbours by netlink: which link-layer address stands behind an IP address. Blocking calls."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from ironswan.gateway.next_hops import NextHop

if TYPE_CHECKING:
    from ironswan.policy.selectors import Address

_UNICAST = 1
_STALE, _PROBE = 0x04, 0x10
# Reachable, stale, delay, probe, permanent: the address is known and was not found wrong.
_USABLE = 0x02 | _STALE | 0x08 | _PROBE | 0x80
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def route_mtu(route: Any, local: Address, remote: Address, mark: int) -> int | None:  # noqa: ANN401
    """Octets of the longest packet that the route of packets with `mark` takes, by its own MTU or its link's.

    What the kernel has heard from routers does not count: it asks only whether they quote one of its sockets' ports.
    """
    with contextlib.suppress(Exception):
        (way,) = route.route("get", src=str(local), dst=str(remote), mark=mark)
        (link,) = route.get_links(way.get_attr("RTA_OIF"))
        learnt = (way.get_attr("RTA_CACHEINFO") or {}).get("rta_expires")
        metrics = way.get_attr("RTA_METRICS")
        mtu = metrics.get_attr("RTAX_MTU") if metrics and not learnt else None
        return int(mtu or link.get_attr("IFLA_MTU"))
    return None


def next_hop(route: Any, local: Address, remote: Address, mark: int) -> NextHop | None:  # noqa: ANN401
    """The neighbour that gets packets with `mark` from `local` to `remote`; None when its address is not known."""
    # No route and no neighbour are errors, and pyroute2's own error class is not an OSError.
    with contextlib.suppress(Exception):
        # With our address: rules may route by it.
        (way,) = route.route("get", src=str(local), dst=str(remote), mark=mark)
        if way["type"] != _UNICAST:
            return None
        gateway, index = way.get_attr("RTA_GATEWAY") or str(remote), way.get_attr("RTA_OIF")
        (neighbour,) = route.neigh("get", family=_FAMILY[remote.version], dst=gateway, ifindex=index)
        address = neighbour.get_attr("NDA_LLADDR")
        if not address or not neighbour["state"] & _USABLE:
            return None
        if neighbour["state"] == _STALE:
            # Nobody else asks it: our frames go past the kernel's IP.
            route.neigh("set", family=_FAMILY[remote.version], dst=gateway, ifindex=index, lladdr=address, state=_PROBE)
        (link,) = route.get_links(index)
        mtu = way.get_attr("RTA_METRICS") and way.get_attr("RTA_METRICS").get_attr("RTAX_MTU")
        return NextHop(index, int(mtu or link.get_attr("IFLA_MTU")), bytes.fromhex(address.replace(":", "")))
    return None
