"""What breaks under two gateways with a tunnel: they recover, or end with one clear error; nothing leaves in clear.

The wire is watched all the time: the fixture fails a test when anything but ESP and IKE was on it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading

from interop_peers import OUTER, WIRE, Sites, Terms, connected

from ironswan import _native
from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import until
from ironswan.lab.traffic import SequencedStream, ping

TRAPPED = Terms(child="start_action = trap")


def set_up(wire: Sites, terms: Terms | None = None) -> tuple[Gateway, Gateway]:
    left, right = wire.ironswan(terms), wire.ironswan(terms, "right")
    left.command("up", name="c", timeout=10)
    assert connected(wire)
    return left, right


def blocked(gateway: Gateway) -> int:
    """Packets that found the socket's buffer full."""
    return int(gateway.command("status")["dataplane"]["counters"]["drop_send_blocked"])


def test_a_link_that_goes_down_and_comes_back_carries_again(wire: Sites) -> None:
    set_up(wire)
    stream = SequencedStream(*wire.hosts)
    wire.right.down(WIRE)
    here, there = wire.hosts
    assert ping(here, there.address, 2, patience=0.2).received == 0
    wire.right.up(WIRE)
    until(lambda: connected(wire), 20, "the tunnel carries again")
    assert stream.finish() < stream.sent


def test_an_address_that_vanishes_and_comes_back_carries_again(wire: Sites) -> None:
    left, _ = set_up(wire)
    here, there = wire.hosts
    wire.left.remove_address(WIRE, f"{OUTER['left']}/24")
    assert ping(here, there.address, 2, patience=0.2).received == 0
    dropped = left.command("status")["dataplane"]["counters"]
    assert dropped["drop_send_failed"] > 0
    wire.left.add_address(WIRE, f"{OUTER['left']}/24")
    wire.left.add_route("default", OUTER["right"])
    until(lambda: connected(wire), 20, "the tunnel carries again")


def test_a_peer_that_the_link_does_not_find_is_found_again(wire: Sites) -> None:
    set_up(wire)
    here, there = wire.hosts
    wire.right.sysctl("net.ipv4.conf.all.arp_ignore", 8)
    wire.left.forget_neighbours(WIRE)
    assert ping(here, there.address, 2, patience=0.2).received == 0
    wire.right.sysctl("net.ipv4.conf.all.arp_ignore", 0)
    until(lambda: connected(wire), 20, "the tunnel carries again")


def test_a_link_that_takes_nothing_for_a_while_costs_packets_and_says_so(wire: Sites) -> None:
    left, _ = set_up(wire)
    here, there = wire.hosts
    wire.left.throttle(WIRE, 10_000)
    with here.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        source.bind((here.address, 0))
        source.connect((there.address, 9))
        until(lambda: _native.udp_send(source.fileno(), 1200, 0.2) and blocked(left), 20, "the socket's buffer is full")
    status = left.command("status")
    (child,) = status["ike_sas"][0]["children"]
    assert child["drops_out"]["send_blocked"] == status["dataplane"]["counters"]["drop_send_blocked"]
    wire.left.unthrottle(WIRE)
    until(lambda: connected(wire), 20, "the tunnel carries again")


def test_a_deleted_interface_ends_the_gateway_with_one_error_and_stays_refused(wire: Sites) -> None:
    left, right = set_up(wire, TRAPPED)
    # Its answer to our farewell would find the port closed, and our host would say so in clear.
    os.kill(right.pid, signal.SIGSTOP)
    wire.left.delete("ipsec0")
    until(lambda: not left.running, 10, "the gateway has ended")
    assert left.stop() == 1
    errors = [line for line in left.log_text().splitlines() if "ipsec0 is gone" in line]
    assert len(errors) == 1
    here, there = wire.hosts
    assert ping(here, there.address, 3, patience=0.2).received == 0
    left.start()
    os.kill(right.pid, signal.SIGCONT)
    left.command("up", name="c", timeout=10)
    until(lambda: connected(wire), 10, "a new gateway carries again")


def test_a_gateway_that_is_killed_leaves_what_it_protected_refused(wire: Sites) -> None:
    left, _ = set_up(wire, TRAPPED)
    left.kill()
    here, there = wire.hosts
    assert ping(here, there.address, 3, patience=0.2).received == 0


def test_many_who_ask_for_the_status_at_once_do_not_disturb_the_tunnel(wire: Sites) -> None:
    left, _ = set_up(wire)
    stream = SequencedStream(*wire.hosts)
    askers = [threading.Thread(target=left.command, args=("status",)) for _ in range(32)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(20)
    assert stream.finish() == 0
