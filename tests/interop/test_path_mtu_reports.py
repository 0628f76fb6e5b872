"""What somebody reports about the path between two gateways (RFC 4301 8.2, A13)."""

from __future__ import annotations

import socket
import struct

from interop_peers import OUTER, WIRE, Sites, connected

from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until


def child(gateway: Gateway) -> dict[str, object]:
    """What the gateway says of its child, after a rekey of the new one."""
    children = [found for sa in gateway.command("status")["ike_sas"] for found in sa["children"]]
    return dict(max(children, key=lambda found: found["id"]))


def report(wire: Sites, spi: int, mtu: int) -> None:
    """Report to the left gateway that its ESP was too big. It comes by loopback: the wire is watched for strangers."""
    ours, theirs = (socket.inet_aton(OUTER[side]) for side in ("left", "right"))
    quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1468, 0, 0, 63, 17, 0, ours, theirs)
    quoted += struct.pack("!HHHHII", 4500, 4500, 1448, 0, spi, 1)
    message = bytearray(struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted)
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    struct.pack_into("!H", message, 2, 0xFFFF - total % 0xFFFF)
    with wire.left.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sender:
        sender.sendto(message, (OUTER["left"], 0))


def test_only_who_quotes_a_live_sa_is_believed_about_the_path(wire: Sites) -> None:
    left, _ = wire.ironswan(), wire.ironswan(side="right")
    left.command("up", name="c", timeout=10)
    until(lambda: child(left).get("path_mtu") == 1500, 10, "the route's MTU is known")
    assert child(left)["path_mtu_by"] == "route"
    spi = int(str(child(left)["outbound_spi"]), 16)
    report(wire, spi ^ 1, 700)
    report(wire, spi, 1300)
    until(lambda: child(left)["path_mtu_by"] == "report", 10, "the report is believed")
    assert (child(left)["path_mtu"], child(left)["mtu"]) == (1300, 1230)
    assert connected(wire)


def test_a_link_that_is_given_another_mtu_is_noticed(wire: Sites) -> None:
    """With the next SA, here after a rekey, or in half a minute."""
    left, _ = wire.ironswan(), wire.ironswan(side="right")
    left.command("up", name="c", timeout=10)
    until(lambda: child(left).get("path_mtu") == 1500, 10, "the route's MTU is known")
    with wire.left.netlink() as netlink:
        (index,) = netlink.link_lookup(ifname=WIRE)
        netlink.link("set", index=index, mtu=1400)
    left.command("rekey", name="c", timeout=10)
    until(lambda: child(left).get("path_mtu") == 1400, 20, "the link's MTU is known")
    assert connected(wire)
