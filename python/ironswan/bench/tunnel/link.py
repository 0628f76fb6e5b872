"""The link between the two sites: a veth pair that carries super-packets whole, or frames as long as a wire's."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pyroute2.ethtool.ioctl import IoctlEthtool

from ironswan.bench.tunnel.peer import Ground, Site
from ironswan.lab.namespaces import Namespace, connect
from ironswan.lab.processes import LabError, until

LINK_MTU = 1500
WIRE = "wire"
OUTER = ("192.0.2.1", "192.0.2.2")
INNER = ("10.77.0.1", "10.77.0.2")
WHOLE, FRAMES = "whole", "frames"
OFFLOADS = {
    WHOLE: "veth as it comes: super-packets cross the link whole, as with an ideal network card",
    FRAMES: "segmentation offloads of the link off, GRO on: frames as long as a wire's, as with a common network card",
}
# The kernel cuts what the link will not take whole; the receiver merges it again.
_SEGMENTATION = (
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    "tx-generic-segmentation",
    "tx-udp-segmentation",
)
_MERGING = ("rx-gro", "rx-udp-gro-forwarding")


@contextlib.contextmanager
def ground(offload: str, mtu: int) -> Iterator[Ground]:
    """Two sites joined by a link; all that is built on it is gone after."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ironswan-bench-")))
        spaces = [stack.enter_context(Namespace(name)) for name in ("left", "right")]
        connect(*spaces, names=(WIRE, WIRE), addresses=(f"{OUTER[0]}/24", f"{OUTER[1]}/24"), mtu=mtu)
        for namespace in spaces:
            namespace.sysctl("net.ipv4.conf.all.rp_filter", 0)
            if offload == FRAMES:
                _cut_frames(namespace)
        left, right = (Site(*each) for each in zip(("left", "right"), spaces, OUTER, INNER, strict=True))
        yield Ground(left, right, mtu, folder, stack.enter_context(contextlib.ExitStack()))


def _cut_frames(namespace: Namespace) -> None:
    with namespace.entered(), contextlib.closing(IoctlEthtool(WIRE)) as tool:
        features = tool.get_features()
        wanted = {**dict.fromkeys(_SEGMENTATION, False), **dict.fromkeys(_MERGING, True)}
        for name, on in wanted.items():
            if name in features and features.is_available(name):
                features[name] = on
        tool.set_features(features)
        after = tool.get_features()
        if wrong := [name for name, on in wanted.items() if name in after and after[name] != on]:
            raise LabError(f"the link keeps its offloads: {', '.join(wrong)}")


def configure(site: Site, interface: str, mtu: int) -> None:
    """Give a tunnel's interface, once it is there, the site's inner address and an MTU, and switch it on."""
    until(lambda: interface in site.namespace.interfaces(), 10, f"the interface {interface} exists")
    with site.namespace.netlink() as netlink:
        index = netlink.link_lookup(ifname=interface)[0]
        netlink.link("set", index=index, mtu=mtu)
        with contextlib.suppress(Exception):  # inside a user namespace the queue length is not ours to set
            netlink.link("set", index=index, txqlen=1000)
    site.namespace.add_address(interface, f"{site.inner}/24")
    site.namespace.up(interface)


def await_address(site: Site, interface: str) -> None:
    """Wait until a tunnel has configured its own interface. Raises LabError."""

    def has_address() -> bool:
        with site.namespace.netlink() as netlink:
            index = netlink.link_lookup(ifname=interface)
            found = netlink.get_addr(index=index[0]) if index else ()
            return any(str(each.get("local") or each.get("address")) == site.inner for each in found)

    until(has_address, 10, f"the interface {interface} has its address")
