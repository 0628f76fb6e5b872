"""Configurations the simulation's tests share."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from simulator import Host, Network

from ironswan.policy.connection import (
    ChildPolicy,
    Configuration,
    Connection,
    LocalAuth,
    RemoteAuth,
    Settings,
    SharedSecret,
)
from ironswan.policy.identity import Identity, IdType
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.selectors import SelectorTemplate
from ironswan.policy.transforms import Protocol

MOON, SUN = "192.0.2.1", "198.51.100.2"
MOON_ID, SUN_ID = Identity(IdType.FQDN, b"moon.example"), Identity(IdType.FQDN, b"sun.example")
SECRET = SharedSecret("psk", b"a secret of both", (MOON_ID, SUN_ID))


def ts(network: str, **more: int) -> SelectorTemplate:
    parsed = ip_network(network)
    return SelectorTemplate(parsed.network_address, parsed.broadcast_address, **more)


def ike(*texts: str):
    return tuple(parse_proposal(text, Protocol.IKE) for text in texts)


def esp(*texts: str):
    return tuple(parse_proposal(text, Protocol.ESP) for text in texts)


def child(name: str = "net", local: str = "10.1.0.0/16", remote: str = "10.2.0.0/16", **more) -> ChildPolicy:
    values = {"esp_proposals": esp("aes128gcm16"), "rekey_time": 0.0, "life_time": 0.0} | more
    return ChildPolicy(name, (ts(local),), (ts(remote),), **values)


def connection(children: tuple[ChildPolicy, ...] | None = None, **more) -> Connection:
    """Moon's side; `mirrored` makes sun's."""
    values = {
        "proposals": ike("aes128gcm16-prfsha256-x25519"),
        "local": LocalAuth(id=MOON_ID),
        "remote": RemoteAuth(id=SUN_ID),
        "local_addrs": (MOON,),
        "remote_addrs": (SUN,),
        "rekey_time": 0.0,
        "encap": False,
    } | more
    return Connection("gw", children if children is not None else (child(),), **values)


def mirrored(moon: Connection, **more) -> Connection:
    values = {
        "children": tuple(replace(c, local_ts=c.remote_ts, remote_ts=c.local_ts) for c in moon.children),
        "local": LocalAuth(id=moon.remote.id),
        "remote": RemoteAuth(id=moon.local.id),
        "local_addrs": moon.remote_addrs,
        "remote_addrs": moon.local_addrs,
    } | more
    return replace(moon, **values)


def network(
    moon: Connection | None = None,
    sun: Connection | None = None,
    *,
    seed: int = 1,
    settings: Settings | None = None,
    sun_settings: Settings | None = None,
    sun_secret: SharedSecret = SECRET,
    delay: float = 0.05,
    workers: tuple[int, int] = (1, 1),
) -> Network:
    moon = moon or connection()
    settings = settings or Settings()
    ours = Configuration((moon,), (SECRET,), settings)
    theirs = Configuration((sun or mirrored(moon),), (sun_secret,), sun_settings or settings)
    hosts = (
        Host("moon", MOON, ours, seed, workers[0]),
        Host("sun", SUN, theirs, seed, workers[1]),
    )
    return Network(*hosts, seed, delay=delay)


def established(*arguments, **more) -> Network:
    """A network whose moon has set up its child; traffic flows and is checked from now on."""
    net = network(*arguments, **more)
    operation = net.initiate(net.moon)
    net.run(5)
    outcome = net.moon.outcome(operation)
    assert outcome is not None
    assert outcome.ok, outcome
    net.traffic = True
    return net
