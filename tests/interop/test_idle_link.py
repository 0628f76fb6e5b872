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


@pytest.mark.parametrize("encap", ["yes", "no"], ids=["udp", "plain"])
def test_a_stream_on_an_idle_link_needs_no_retransmission(iperf3: str, wire: Sites, encap: str) -> None:
    terms = Terms(encap=encap)
    left, right = wire.ironswan(terms), wire.ironswan(terms, "right")
    left.command("up", name="c", timeout=10)
    here, there = wire.hosts
    listen = [iperf3, "-s", "-1", "--forceflush", "-B", there.address]
    server = Daemon(there.namespace, listen, wire.work / "server")
    wire.stack.callback(server.stop)
    until(lambda: "listening" in server.text(), 10, "iperf3 listens")
    call = [iperf3, "-c", there.address, "-B", here.address, "-t", "1", "-b", "200M", "-J"]
    client = Daemon(here.namespace, call, wire.work / "client")
    wire.stack.callback(client.stop)
    until(lambda: not client.running, 20, "iperf3 ends")
    end = json.loads(client.text())["end"]
    assert end["sum_received"]["bytes"] > 20_000_000
    assert end["sum_sent"]["retransmits"] == 0
    assert dropped(left) == dropped(right) == {}
