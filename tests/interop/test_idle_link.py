"""A stream that leaves room on the link, seen by iperf3."""

from __future__ import annotations

import json

import pytest
from interop_peers import Sites, Terms

from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import Daemon, until


def dropped(gateway: Gateway) -> dict[str, int]:
    """What the data plane has dropped, by reason."""
    counters = gateway.command("status")["dataplane"]["counters"]
    return {name: count for name, count in counters.items() if "drop" in name and count}


def retransmissions(iperf3: str, wire: Sites, attempt: int) -> int:
    """Of a stream of a second, with room to spare."""
    here, there = wire.hosts
    listen = [iperf3, "-s", "-1", "--forceflush", "-B", there.address]
    server = Daemon(there.namespace, listen, wire.work / f"server{attempt}")
    wire.stack.callback(server.stop)
    until(lambda: "listening" in server.text(), 10, "iperf3 listens")
    call = [iperf3, "-c", there.address, "-B", here.address, "-t", "1", "-b", "200M", "-J"]
    client = Daemon(here.namespace, call, wire.work / f"client{attempt}")
    wire.stack.callback(client.stop)
    until(lambda: not client.running, 20, "iperf3 ends")
    until(lambda: not server.running, 20, "the server has seen it")
    end = json.loads(client.text())["end"]
    assert end["sum_received"]["bytes"] > 20_000_000
    return int(end["sum_sent"]["retransmits"])


@pytest.mark.parametrize("encap", ["yes", "no"], ids=["udp", "plain"])
def test_a_stream_on_an_idle_link_needs_no_retransmission(iperf3: str, wire: Sites, encap: str) -> None:
    terms = Terms(encap=encap)
    left, right = wire.ironswan(terms), wire.ironswan(terms, "right")
    left.command("up", name="c", timeout=10)
    # TCP retransmits too when a busy host delays an ACK: one of three streams must need none, and we drop nothing.
    assert any(retransmissions(iperf3, wire, attempt) == 0 for attempt in range(3))
    assert dropped(left) == dropped(right) == {}
