"""What a stranger, or a peer that turned hostile, can make us spend: work, replies, state (T01, T03)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from scenarios import SECRET, SUN, connection, esp, established, ike, mirrored, network, ts
from simulator import Host, endpoint

from ironswan.ike import events as ev
from ironswan.ike import protect, sa_init_respond
from ironswan.ike.types import Because, Datagram
from ironswan.policy import proposals
from ironswan.policy.connection import ChildPolicy, Configuration, Settings
from ironswan.policy.selectors import TrafficSelector
from ironswan.wire.ke import KePayload
from ironswan.wire.message import write_message
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.numbers import ExchangeType
from ironswan.wire.sa import SaPayload
from ironswan.wire.ts import TsPayload

X25519_BASE = bytes([9]) + bytes(31)


def init_request(
    spi: int = 1, offered: str = "aes128gcm16-prfsha256-x25519", method: int = 31, public: bytes = X25519_BASE, *first
) -> bytes:
    """What somebody without an engine sends; `first` goes in front of the other payloads."""
    offers = tuple(replace(p, number=1) for p in ike(offered))
    return write_message(
        spi.to_bytes(8, "big"), bytes(8), ExchangeType.IKE_SA_INIT, initiator=True, response=False, message_id=0,
        payloads=(*first, SaPayload(offers), KePayload(method, public), NoncePayload(bytes(range(32)))),
    )  # fmt: skip


def gateway(count: int = 1, **more) -> Host:
    """Sun alone, with so many connections for anybody."""
    values = {"local_addrs": ("%any",), "remote_addrs": ("%any",)} | more
    each = mirrored(connection(), **values)
    connections = tuple(replace(each, name=f"gw{n}") for n in range(count))
    return Host("sun", SUN, Configuration(connections, (SECRET,), Settings()), 1)


def hear(host: Host, data: bytes, source: str = "203.0.113.9", now: float = 0.0) -> list[bytes]:
    """Let a stranger's datagram arrive; what is answered."""
    host.engine.receive(Datagram(host.endpoint, endpoint(source), data), now)
    host.events += host.engine.take_events()
    return [answer.data for answer in host.engine.take_datagrams()]


def test_an_offer_is_held_against_the_same_proposals_once(monkeypatch):
    """However many connections have them."""
    tried = []
    select = proposals.select
    monkeypatch.setattr(sa_init_respond, "select", lambda *sides: (tried.append(sides), select(*sides))[1])
    host = gateway(50)
    hear(host, init_request(offered="aes256gcm16-prfsha384-ecp384"))
    assert len(tried) == 1
    assert host.reasons() == ["no_proposal"]


def test_mismatches_that_are_not_reported_are_not_explained(monkeypatch):
    told = []
    text = proposals.Mismatch.__str__
    monkeypatch.setattr(proposals.Mismatch, "__str__", lambda self: (told.append(self), text(self))[1])
    host = gateway()
    for n in range(1000):
        hear(host, init_request(n + 1, "aes256gcm16-prfsha384-ecp384"))
    assert len(told) == len(host.reasons()) == 200


def test_the_sentence_about_a_refusal_is_of_bounded_length():
    """T22."""
    host = gateway()
    host.engine._context.reject(None, Because.MALFORMED, "y" * 5000, host.endpoint, 0.0)
    [event] = host.engine.take_events()
    assert len(event.reject.detail) == 1000


def test_a_proposal_for_an_initial_ike_sa_has_no_spi():
    """I49: one that has an SPI is passed over, and the SPI is not echoed."""
    host = gateway()
    plain = replace(ike("aes128gcm16-prfsha256-x25519")[0], number=2)
    for offers, accepted in (((replace(plain, number=1, spi=b"8 octets"),), False), ((plain,), True)):
        data = write_message(
            bytes([7]) * 8, bytes(8), ExchangeType.IKE_SA_INIT, initiator=True, response=False, message_id=0,
            payloads=(SaPayload(offers), KePayload(31, X25519_BASE), NoncePayload(bytes(32))),
        )  # fmt: skip
        [answer] = hear(host, data)
        assert b"8 octets" not in answer
        assert bool(host.engine.snapshot(0)) is accepted


def child_request(net, ts_i, ts_r):
    """Moon asks for a child in words of its own."""
    [sa] = net.moon.engine._context.sas.values()
    offer = replace(esp("aes128gcm16")[0], number=1, spi=b"spi4")
    payloads = SaPayload((offer,)), NoncePayload(bytes(32)), TsPayload(True, ts_i), TsPayload(False, ts_r)
    return [
        Datagram(net.sun.endpoint, net.moon.endpoint, data)
        for data in protect.seal(sa, ExchangeType.CREATE_CHILD_SA, sa.requests.next_id, payloads, response=False)
    ]


@pytest.mark.parametrize("configured", [2, 16])
def test_child_of_more_selectors_than_an_answer_can_have_gets_as_many_as_fit_and_is_made_once(configured):
    local = tuple(ts(f"10.{2 + n}.0.0/16") for n in range(configured))
    sun = ChildPolicy("net", local, (ts("10.1.0.0/16"),), esp("aes128gcm16"), rekey_time=0.0, life_time=0.0)
    net = established(connection(), mirrored(connection(), children=(sun,)))
    net.traffic = False
    first, last = ip_address("10.0.0.0"), ip_address("10.255.255.255")
    ts_r = tuple(TrafficSelector(first, last, 6, port, port) for port in range(1000, 1255))
    ts_i = (TrafficSelector(ip_address("10.1.0.0"), ip_address("10.1.255.255"), 6),)
    for _ in range(3):
        for datagram in child_request(net, ts_i, ts_r):
            net.sun.engine.receive(datagram, net.now)
            net.turn(net.sun)
    made = net.sun.of(ev.ChildInstalled)
    assert [len(event.child.ts_local) for event in made] == [1, 255]


def test_more_selectors_than_fit_are_not_offered():
    many = ChildPolicy(
        "net", tuple(ts(f"10.1.{n}.0/24", protocol=6) for n in range(256)) * 2, (ts("10.2.0.0/16"),),
        esp("aes128gcm16"), rekey_time=0.0, life_time=0.0,
    )  # fmt: skip
    moon = connection((many,))
    net = network(moon)
    operation = net.initiate(net.moon, packet=(ip_address("10.1.0.5"), ip_address("10.2.0.7"), 6, 40000, 80))
    net.run(5)
    assert net.moon.outcome(operation).ok
    assert len(net.sun.of(ev.ChildInstalled)[0].child.ts_remote) == 255
