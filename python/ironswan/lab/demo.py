"""The demo: alice - moon - sun - bob on one machine, an IPsec tunnel between moon and sun, and a look at all it claims.

Two real gateway processes set the tunnel up; the traffic between alice and bob is forwarded by the kernels on both
gateways. Calls no other program. Everything lives in anonymous namespaces and one temporary folder and is gone after.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.lab.capture import Capture
from ironswan.lab.gateways import Gateway, stop_all
from ironswan.lab.namespaces import Namespace, connect
from ironswan.lab.privileges import obstacle, terminated_like_interrupted
from ironswan.lab.processes import LabError, until
from ironswan.lab.report import Report
from ironswan.lab.traffic import Host, SequencedStream, Transfer, ping, tcp_rate, udp_rate

INTERRUPTED = 130
MOON, SUN = "192.0.2.1", "192.0.2.2"
ALICE, BOB = "10.1.0.10", "10.2.0.10"
WIRE = "wire"
REKEYS = 3

CONFIGURATION = """connections {{
  demo {{
    version = 2
    local_addrs = {local}
    remote_addrs = {remote}
    encap = yes
    proposals = aes128gcm16-prfsha256-x25519
    local {{
      auth = psk
      id = {own}.demo
    }}
    remote {{
      auth = psk
      id = {peer}.demo
    }}
    children {{
      net {{
        local_ts = {local_net}
        remote_ts = {remote_net}
        esp_proposals = aes128gcm16
      }}
    }}
  }}
}}
secrets {{
  ike-demo {{
    id-moon = moon.demo
    id-sun = sun.demo
    secret = 0x{secret}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Network:
    """The four namespaces and the two hosts that talk."""

    moon: Namespace
    sun: Namespace
    alice: Host
    bob: Host


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """alice - moon - sun - bob. Each gateway's default route is the other one, so that what is unprotected leaks."""
    with contextlib.ExitStack() as stack:
        alice, moon, sun, bob = (stack.enter_context(Namespace(name)) for name in ("alice", "moon", "sun", "bob"))
        connect(alice, moon, names=("eth0", "lan"), addresses=(f"{ALICE}/24", "10.1.0.1/24"))
        connect(moon, sun, names=(WIRE, WIRE), addresses=(f"{MOON}/24", f"{SUN}/24"))
        connect(sun, bob, names=("lan", "eth0"), addresses=("10.2.0.1/24", f"{BOB}/24"))
        alice.add_route("default", "10.1.0.1")
        bob.add_route("default", "10.2.0.1")
        for gateway, other in ((moon, SUN), (sun, MOON)):
            gateway.sysctl("net.ipv4.ip_forward", 1)
            gateway.sysctl("net.ipv4.conf.all.rp_filter", 0)
            gateway.add_route("default", other)
        yield Network(moon, sun, Host(alice, ALICE), Host(bob, BOB))


@contextlib.contextmanager
def gateways(net: Network) -> Iterator[tuple[Gateway, Gateway]]:
    """Both gateways, running, with a secret made for this run."""
    secret = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="ironswan-demo-") as folder:
        work = Path(folder)
        pair = tuple(
            Gateway(
                namespace,
                work,
                own,
                CONFIGURATION.format(
                    own=own, peer=peer, local=local, remote=remote, local_net=nets[0], remote_net=nets[1], secret=secret
                ),
            )
            for namespace, own, peer, local, remote, nets in (
                (net.moon, "moon", "sun", MOON, SUN, ("10.1.0.0/24", "10.2.0.0/24")),
                (net.sun, "sun", "moon", SUN, MOON, ("10.2.0.0/24", "10.1.0.0/24")),
            )
        )
        try:
            for gateway in pair:
                gateway.start()
            yield pair[0], pair[1]
        finally:
            stop_all(pair)


Say = Callable[[str], None]


def _tap_works(net: Network) -> bool:
    """Whether a readable packet would be found: send some before there is a tunnel."""
    tap = Capture(net.moon, WIRE)
    try:
        ping(Host(net.moon, MOON), SUN, 3)
        return tap.finish().unprotected >= 3
    finally:
        tap.close()


def _set_up(moon: Gateway, sun: Gateway, report: Report) -> None:
    begin = time.perf_counter()
    result = moon.command("up", name="net", timeout=20)
    elapsed = (time.perf_counter() - begin) * 1000
    report.handshake_ms = round(float(result.get("handshake_ms") or elapsed), 2)
    until(lambda: _children(sun.command("status")), 5, "sun lists the Child SA")
    status = moon.command("status")
    report.suite = _suite(status)
    dataplane = status.get("dataplane", {})
    report.offloads = {name: bool(on) for name, on in dataplane.get("offloads", {}).items()}
    report.mtu = dataplane.get("mtu")


def _children(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [child for ike in status.get("ike_sas", []) for child in ike.get("children", [])]


def _suite(status: dict[str, Any]) -> str | None:
    for ike in status.get("ike_sas", []):
        for child in ike.get("children", []):
            return f"IKE {ike['suite']}, ESP {child['suite']}"
    return None


def _rekey_under_load(net: Network, moon: Gateway, sun: Gateway, seconds: float) -> tuple[int, bool]:
    """Rekey from both sides while numbered traffic runs; packets lost, and whether the TCP octets arrived."""
    rate = 20e6
    with contextlib.ExitStack() as stack:
        streams = [SequencedStream(*ends) for ends in ((net.alice, net.bob), (net.bob, net.alice))]
        for stream in streams:
            stack.callback(stream.close)
        transfer = Transfer(net.alice, net.bob, int(rate * seconds), rate=rate)
        stack.callback(transfer.close)
        for turn in range(REKEYS):
            time.sleep(seconds / (REKEYS + 1))
            (moon, sun)[turn % 2].command("rekey", kind="child", name="net")
        intact = transfer.intact(seconds + 20)
        return sum(stream.finish() for stream in streams), intact


def _measure(net: Network, moon: Gateway, sun: Gateway, seconds: float, report: Report, say: Say) -> None:
    say("setting the tunnel up")
    _set_up(moon, sun, report)
    say("ping")
    pings = ping(net.alice, BOB, 200)
    report.ping_sent, report.ping_received, report.rtt_us = pings.sent, pings.received, pings.median_us
    report.check(pings.received == pings.sent, f"{pings.sent - pings.received} pings were not answered")
    say(f"TCP alice to bob, {seconds:g} s")
    report.tcp_gbps = round(tcp_rate(net.alice, net.bob, seconds), 2)
    say(f"TCP bob to alice, {seconds:g} s")
    report.tcp_reverse_gbps = round(tcp_rate(net.bob, net.alice, seconds), 2)
    say(f"UDP with 64 octets, {seconds:g} s")
    report.udp64_kpps = round(udp_rate(net.alice, net.bob, seconds) / 1000, 1)
    report.check(report.udp64_kpps > 0, "no UDP packet arrived")
    say(f"{REKEYS} rekeys under traffic, {seconds:g} s")
    report.rekey_lost, intact = _rekey_under_load(net, moon, sun, seconds)
    report.check(report.rekey_lost == 0, f"{report.rekey_lost} packets were lost in the rekeys")
    report.check(intact, "the TCP transfer across the rekeys arrived changed")


def examine(seconds: float, report: Report, say: Say) -> None:
    """Run the whole demo and note what it finds in `report`."""
    say("building alice - moon - sun - bob")
    with network() as net:
        report.check(_tap_works(net), "the wire tap does not see readable packets, so it proves nothing")
        tap = Capture(net.moon, WIRE)
        try:
            with gateways(net) as (moon, sun):
                _measure(net, moon, sun, seconds, report, say)
            found = tap.finish()
        finally:
            tap.close()
        report.cleartext_packets = found.cleartext
        seen = f" ({'; '.join(found.examples)})" if found.examples else ""
        report.check(found.cleartext == 0, f"{found.cleartext} packets were readable on the wire{seen}")
        report.check(found.sampled > 0, "no protected packet was seen on the wire")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"… {text}", file=sys.stderr, flush=True)


def run(seconds: float = 3.0, as_json: bool = False) -> int:
    """Run the demo, print what it found and return the exit code; 0 only if all of it held."""
    if (missing := obstacle()) is not None:
        print(f"ironswan demo: {missing}", file=sys.stderr)
        return ExitCode.PERMISSION
    report = Report()
    try:
        with terminated_like_interrupted():
            examine(seconds, report, _progress)
    except KeyboardInterrupt:
        print("ironswan demo: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (LabError, CommandError, OSError) as error:
        report.failed.append(str(error))
    print(json.dumps(report.document()) if as_json else report.table())
    return ExitCode.OK if report.ok else ExitCode.FAILED
