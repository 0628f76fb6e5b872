"""What a stranger, or a peer that turned hostile, can make us spend: work, replies, state (T01, T03)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from scenarios import SECRET, SUN, connection, esp, established, ike, mirrored, network, ts
from simulator import Host, endpoint

from ironswan.crypto import ke
from ironswan.ike import events as ev
from ironswan.ike import protect, sa_init_respond
from ironswan.ike.limiter import RecentCount
from ironswan.ike.types import Because, Datagram
from ironswan.policy import proposals
from ironswan.policy.connection import ChildPolicy, Configuration, Settings
from ironswan.policy.selectors import TrafficSelector
from ironswan.wire.ke import KePayload
from ironswan.wire.message import read_message, write_message
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType
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


@pytest.mark.parametrize(
    ("offered", "method", "public"),
    [
        ("aes128gcm16-prfsha256-modp4096", 16, bytes(512)),
        ("aes128gcm16-prfsha256-modp4096", 16, bytes(511) + b"\2\0"),
        ("aes128gcm16-prfsha256-ecp521", 21, bytes(132)),
        ("aes128gcm16-prfsha256-x25519", 31, bytes(33)),
    ],
)
def test_no_key_is_made_for_a_public_value_that_is_none(offered, method, public, monkeypatch):
    monkeypatch.setattr(ke, "new", None)
    host = gateway(proposals=ike(offered))
    assert hear(host, init_request(1, offered, method, public)) == []
    assert host.reasons() == ["bad_ke"]


@pytest.mark.parametrize("public", [bytes(31), bytes(32)], ids=["short", "low order"])
def test_requests_with_bad_public_values_lead_to_cookies_and_are_forgotten(public):
    host = gateway()
    for n in range(40):
        hear(host, init_request(n + 1, public=public))
    assert host.reasons() == ["bad_ke"] * 30 + ["cookie_needed"] * 10
    hear(host, init_request(41), now=29.0)
    assert host.reasons()[-1] == "cookie_needed"
    hear(host, init_request(42), now=65.0)
    assert len(host.engine.snapshot(0)) == 1


def test_recent_count_forgets_after_one_to_two_periods():
    recent = RecentCount(30.0)
    for now in (0.0, 10.0, 29.0, 40.0):
        recent.add(now)
    assert [recent.at(now) for now in (41.0, 59.0, 70.0, 99.0, 101.0)] == [4, 4, 1, 1, 0]
    recent.add(200.0)
    assert (recent.at(200.0), recent.at(300.0)) == (1, 0)


def test_ike_sa_that_failed_to_authenticate_counts_as_half_open_until_it_is_forgotten():
    """T01: it is kept to repeat the answer, for as long as somebody might ask."""
    net = network(sun_secret=replace(SECRET, secret=b"another"))
    net.initiate(net.moon)
    net.run(2)
    context = net.sun.engine._context
    assert "authentication" in net.sun.reasons()
    assert (context.half_open, context.half_open_from(net.moon.endpoint.address)) == (1, 1)
    net.run(12)
    assert not context.sas
    assert (context.half_open, context.half_open_from(net.moon.endpoint.address)) == (0, 0)


def test_guessing_secrets_from_one_address_leads_to_cookies_and_then_to_silence():
    net = network(sun_secret=replace(SECRET, secret=b"another"))
    for _ in range(60):
        net.initiate(net.moon)
        net.run(0.2)
    reasons = net.sun.reasons()
    assert "cookie_needed" in reasons
    assert reasons.count("authentication") == len(net.sun.engine._context.sas) == 32
    assert "half_open_limit" in reasons


def cookie(answer: bytes) -> NotifyPayload:
    [payload] = read_message(answer).payloads
    assert payload.type == NotifyType.COOKIE
    return payload


def begin(host: Host, number: int, address: str) -> bool:
    """Somebody at an address starts an IKE SA, with a cookie if one is asked for; whether there is one more."""
    before = host.engine._context.half_open
    answers = hear(host, init_request(number), address)
    if host.engine._context.half_open == before and answers:
        first = init_request(number, "aes128gcm16-prfsha256-x25519", 31, X25519_BASE, cookie(answers[0]))
        hear(host, first, address)
    return host.engine._context.half_open > before


def test_half_open_ike_sas_are_counted_for_each_ipv4_address_and_ipv6_64():
    """I40."""
    host = gateway()
    one_prefix = [begin(host, n, f"2001:db8:1:1::{n:x}") for n in range(1, 50)]
    assert one_prefix == [True] * 32 + [False] * 17
    assert begin(host, 50, "2001:db8:1:2::1")
    host = gateway()
    assert [begin(host, n, "192.0.2.9") for n in range(1, 40)] == [True] * 32 + [False] * 7
    assert begin(host, 50, "192.0.2.10")


def test_half_open_ike_sas_are_limited_in_all(monkeypatch):
    """T01: cookies do not stop whoever has many addresses."""
    monkeypatch.setattr(sa_init_respond, "HALF_OPEN_IN_ALL", 40)
    host = gateway()
    assert [begin(host, n, f"192.0.2.{n}") for n in range(1, 50)] == [True] * 40 + [False] * 9
    host.engine.handle_timers(31.0)
    assert host.engine._context.half_open == 0
    assert begin(host, 60, "192.0.2.60")


def garbage(spi: int) -> bytes:
    """A message for an IKE SA that there is not."""
    return write_message(
        spi.to_bytes(8, "big"), bytes([7]) * 8, ExchangeType.INFORMATIONAL, initiator=True, response=False,
        message_id=0, payloads=(NoncePayload(bytes(32)),),
    )  # fmt: skip


def test_garbage_does_not_use_up_the_answers_that_a_peer_needs_to_connect():
    """INVALID_KE_PAYLOAD, without which a peer whose guess was wrong gets nowhere."""
    host = gateway(proposals=ike("aes128gcm16-prfsha256-ecp256"))
    assert len([n for n in range(1, 300) if hear(host, garbage(n))]) == 50
    [answer] = hear(host, init_request(1, "aes128gcm16-prfsha256-x25519-ecp256"))
    assert read_message(answer).payloads[0].type == NotifyType.INVALID_KE_PAYLOAD


def test_answers_to_requests_for_an_ike_sa_are_limited_too():
    """I28."""
    host = gateway(proposals=ike("aes128gcm16-prfsha256-ecp256"))
    data = init_request(1, "aes128gcm16-prfsha256-x25519-ecp256")
    assert len([n for n in range(1000) if hear(host, data)]) == 200


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
