"""Cookies and limits against a flood of first requests (RFC 7296 2.6): what a stranger must send back, and how soon."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from scenarios import MOON, connection, ike, mirrored, network
from simulator import endpoint

from ironswan.ike.types import Datagram
from ironswan.policy.connection import Settings
from ironswan.wire.ke import KePayload
from ironswan.wire.message import read_message, write_message
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType

ELSEWHERE = "203.0.113.66"


def flooded(threshold=1, **more):
    """Sun has as many half-open IKE SAs as its threshold; the first request of a stranger is at hand."""
    moon = connection()
    settings = Settings(cookie_threshold=threshold, **more)
    net = network(moon, mirrored(moon, remote_addrs=("%any",)), sun_settings=settings)
    net.initiate(net.moon)
    [request] = net.moon.engine.take_datagrams()
    for number in range(threshold):
        give(net, varied(request, number), source=f"203.0.113.{number + 1}")
    assert half_open(net) == threshold
    return net, varied(request, 100)


def half_open(net):
    return len(net.sun.engine.snapshot(net.now))


def rebuilt(datagram, payloads, spi_i=None):
    head = read_message(datagram.data).header
    data = write_message(
        spi_i or head.spi_i, head.spi_r, 34, initiator=True, response=False, message_id=0, payloads=payloads
    )
    return replace(datagram, data=data)


def varied(request, number):
    """Another initiator's request."""
    payloads = read_message(request.data).payloads
    return rebuilt(
        request,
        [replace(p, data=bytes([number]) * 32) if isinstance(p, NoncePayload) else p for p in payloads],
        spi_i=bytes([0xAA, number] * 4),
    )


def give(net, request, source=MOON, port=500):
    arriving = Datagram(request.remote, endpoint(source, port), request.data)
    net.sun.engine.receive(arriving, net.now)
    net.sun.events += net.sun.engine.take_events()
    return net.sun.engine.take_datagrams()


def wait(net, seconds):
    net.now += seconds
    net.sun.engine.handle_timers(net.now)


def cookie_of(answers):
    """The cookie of an answer, None if it is a real one."""
    [answer] = answers
    found = [p for p in read_message(answer.data).payloads if isinstance(p, NotifyPayload)]
    cookies = [p.data for p in found if p.type == NotifyType.COOKIE]
    assert len(cookies) <= 1
    return cookies[0] if cookies else None


def with_cookie(request, cookie):
    payloads = read_message(request.data).payloads
    rest = [p for p in payloads if not (isinstance(p, NotifyPayload) and p.type == NotifyType.COOKIE)]
    return rebuilt(request, [NotifyPayload(NotifyType.COOKIE, cookie), *rest])


def refused(net, request, **where):
    """Asked for a cookie again, and nothing kept."""
    before = half_open(net)
    again = cookie_of(give(net, request, **where))
    assert half_open(net) == before
    return again is not None


def test_cookie_sent_back_is_enough():
    net, request = flooded()
    cookie = cookie_of(give(net, request))
    assert half_open(net) == 1
    assert cookie_of(give(net, with_cookie(request, cookie))) is None
    assert half_open(net) == 2


def test_no_cookie_is_asked_for_below_the_threshold():
    net, request = flooded(threshold=3)
    assert cookie_of(give(net, request)) is not None
    wait(net, Settings().half_open_timeout + 1)
    assert half_open(net) == 0
    assert cookie_of(give(net, request)) is None


@pytest.mark.parametrize("change", ["first octet", "last octet", "cut short", "longer", "empty", "random"])
def test_cookie_that_is_not_ours_is_worth_nothing(change):
    net, request = flooded()
    cookie = cookie_of(give(net, request))
    wrong = {
        "first octet": bytes([cookie[0] ^ 1]) + cookie[1:],
        "last octet": cookie[:-1] + bytes([cookie[-1] ^ 1]),
        "cut short": cookie[:-1],
        "longer": cookie + bytes(1),
        "empty": b"",
        "random": bytes(range(len(cookie))),
    }[change]
    assert refused(net, with_cookie(request, wrong))


def test_cookie_is_for_one_address():
    net, request = flooded()
    cookie = cookie_of(give(net, request))
    assert refused(net, with_cookie(request, cookie), source=ELSEWHERE)


def test_cookie_is_for_one_nonce():
    net, request = flooded()
    cookie = cookie_of(give(net, request))
    payloads = read_message(request.data).payloads
    other = [replace(p, data=bytes(32)) if isinstance(p, NoncePayload) else p for p in payloads]
    assert refused(net, with_cookie(rebuilt(request, other), cookie))


def test_cookie_is_for_one_initiator_spi():
    net, request = flooded()
    cookie = cookie_of(give(net, request))
    other = rebuilt(request, read_message(request.data).payloads, spi_i=bytes(range(1, 9)))
    assert refused(net, with_cookie(other, cookie))


def test_cookie_stays_good_with_another_key_exchange():
    """RFC 7296 2.6.1: it does not cover KE."""
    net, request = flooded()
    cookie = cookie_of(give(net, request))
    other = mirrored(connection(proposals=ike("aes128gcm16-prfsha256-ecp256")))
    net.sun.engine.set_configuration(
        replace(net.sun.engine._context.configuration, connections=(replace(other, remote_addrs=("%any",)),)), net.now
    )
    payloads = [replace(p, method=19) if isinstance(p, KePayload) else p for p in read_message(request.data).payloads]
    [answer] = give(net, with_cookie(rebuilt(request, payloads), cookie))
    [notify] = [p for p in read_message(answer.data).payloads if isinstance(p, NotifyPayload)]
    assert notify.type == NotifyType.NO_PROPOSAL_CHOSEN


def test_cookie_outlives_one_change_of_the_secret_and_no_more():
    """The secret lives a minute; the last one still counts for another."""
    net, request = flooded(half_open_timeout=10_000.0)
    cookie = cookie_of(give(net, request))
    wait(net, 61)
    assert refused(net, request)
    fresh = cookie_of(give(net, request))
    assert fresh != cookie
    wait(net, 61)
    assert refused(net, with_cookie(request, cookie))
    assert cookie_of(give(net, with_cookie(request, fresh))) is None


def test_cookie_of_a_quiet_gateway_expires():
    """Nobody asked for one in between, so no new secret was drawn."""
    net, request = flooded(half_open_timeout=10_000.0)
    cookie = cookie_of(give(net, request))
    wait(net, 200)
    assert refused(net, with_cookie(request, cookie))


def test_previous_secret_counts_for_a_while():
    net, request = flooded(half_open_timeout=10_000.0)
    cookie = cookie_of(give(net, request))
    wait(net, 61)
    assert cookie_of(give(net, with_cookie(request, cookie))) is None


def test_cookies_of_two_gateways_differ():
    """The secret is drawn, not known."""
    cookies = set()
    for seed in (1, 2):
        moon = connection()
        net = network(
            moon, mirrored(moon, remote_addrs=("%any",)), sun_settings=Settings(cookie_threshold=1), seed=seed
        )
        net.initiate(net.moon)
        [request] = net.moon.engine.take_datagrams()
        same = varied(request, 1)
        give(net, varied(request, 2))
        cookies.add(cookie_of(give(net, same)))
    assert len(cookies) == 2


def test_one_address_has_a_bounded_number_of_half_open_ike_sas_and_others_are_still_served():
    """Cookies are switched off: the address is the only thing that tells a stranger from another."""
    moon = connection()
    settings = Settings(cookie_threshold=0, half_open_timeout=30.0)
    net = network(moon, mirrored(moon, remote_addrs=("%any",)), sun_settings=settings)
    net.initiate(net.moon)
    [request] = net.moon.engine.take_datagrams()
    for number in range(100):
        give(net, varied(request, number), port=1024 + number)
    kept = half_open(net)
    assert 1 <= kept <= 64
    assert "half_open_limit" in net.sun.reasons()
    assert {sa.remote.address for sa in net.sun.engine.snapshot(net.now)} == {ip_address(MOON)}
    assert cookie_of(give(net, request, source=ELSEWHERE)) is None
    assert half_open(net) == kept + 1
    wait(net, 31)
    assert half_open(net) == 0
    assert cookie_of(give(net, varied(request, 200))) is None
