"""Messages that cannot be read or granted: what the sender hears of it, at what length, how often, what it loses.

Unprotected ones may be anybody's and change nothing (RFC 7296 2.21.1, 2.21.4); protected ones end the IKE SA (2.21.3).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from protected import give, message_of, only_sa, payloads_of
from scenarios import connection, established, ike, mirrored, network

from ironswan.ike import events as ev
from ironswan.ike import protect
from ironswan.ike.types import Datagram
from ironswan.wire.ke import KePayload
from ironswan.wire.message import read_message, write_message
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType

IKE_SA_INIT, CREATE_CHILD_SA, INFORMATIONAL = 34, 36, 37
RESPONSE = 0x20
KE, NONCE, NOTIFY, FUTURE = 34, 40, 41, 254
CRITICAL = 0x80
BURST = 50
FIRST_BURST = 200


def quiet():
    net = established()
    net.traffic = False
    return net


def sealed(host, first, plaintext, exchange=INFORMATIONAL):
    """A request of a host with any octets inside."""
    sa = only_sa(host)
    data = protect._seal_one(sa, exchange, sa.requests.next_id, plaintext, first, response=False)
    return Datagram(sa.local, sa.remote, data)


MALFORMED = {
    "length of a payload header that is less than its own": (NOTIFY, bytes((0, 0, 0, 3))),
    "payload longer than the message": (NOTIFY, bytes((0, 0, 0, 100, 0, 0, 0, 1))),
    "octets behind the last payload": (NOTIFY, bytes((0, 0, 0, 8, 0, 0, 64, 0, 1))),
    "payload announced that is not there": (NOTIFY, b""),
    "nonce twice": (NONCE, (bytes((NONCE, 0, 0, 20)) + bytes(16)) + (bytes((0, 0, 0, 20)) + bytes(16))),
    "encrypted payload inside another": (46, bytes((0, 0, 0, 4))),
}


@pytest.mark.parametrize("what", MALFORMED)
@pytest.mark.parametrize("exchange", [INFORMATIONAL, CREATE_CHILD_SA])
def test_malformed_request_of_the_peer_ends_the_ike_sa(exchange, what):
    """RFC 7296 2.21.3: INVALID_SYNTAX, then it is gone with its children."""
    net = quiet()
    [answer] = give(net, net.sun, sealed(net.moon, *MALFORMED[what], exchange=exchange))
    assert [p.type for p in payloads_of(net.sun, answer)] == [NotifyType.INVALID_SYNTAX]
    assert "malformed" in net.sun.reasons()
    assert [e.ike_id for e in net.sun.of(ev.IkeRemoved)] == [1]
    assert not net.sun.plane.known


def test_create_child_sa_without_a_proposal_ends_the_ike_sa():
    net = quiet()
    [answer] = give(net, net.sun, message_of(net.moon, CREATE_CHILD_SA, only_sa(net.moon).requests.next_id))
    assert [p.type for p in payloads_of(net.sun, answer)] == [NotifyType.INVALID_SYNTAX]
    assert not net.sun.plane.known


def test_unknown_critical_payload_is_named_and_the_ike_sa_stays():
    """RFC 7296 2.5: it comes from a newer version, not from a broken peer."""
    net = quiet()
    [answer] = give(net, net.sun, sealed(net.moon, FUTURE, bytes((0, CRITICAL, 0, 4))))
    [notify] = payloads_of(net.sun, answer)
    assert (notify.type, notify.data) == (NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([FUTURE]))
    assert len(net.sun.plane.known) == 1
    assert [sa.state for sa in net.sun.engine.snapshot(net.now)] == ["established"]


def test_unknown_payload_that_is_not_critical_is_skipped():
    net = quiet()
    [answer] = give(net, net.sun, sealed(net.moon, FUTURE, bytes((0, 0, 0, 4))))
    assert payloads_of(net.sun, answer) == ()
    assert net.sun.reasons() == []


def plain(net, spi_i, spi_r, exchange, *, octets=0, version=0x20, first=0, body=b"", response=False):
    """An unprotected message to sun; `octets` more of a vendor's make it longer."""
    if octets:
        first, body = 43, bytes((0, 0)) + (4 + octets).to_bytes(2, "big") + bytes(octets)
    flags = RESPONSE if response else 0x08
    head = spi_i + spi_r + bytes((first, version, exchange, flags)) + bytes(4) + (28 + len(body)).to_bytes(4, "big")
    return Datagram(net.moon.endpoint, net.sun.endpoint, head + body)


def unknown_spi(net, octets=0, response=False):
    return plain(net, b"stranger", b"nobody..", INFORMATIONAL, octets=octets, response=response)


def newer_version(net, octets=0, response=False):
    return plain(net, b"stranger", bytes(8), IKE_SA_INIT, octets=octets, version=0x30, response=response)


def unknown_critical(net, octets=0, response=False):
    critical = bytes((0, CRITICAL)) + (4 + octets).to_bytes(2, "big") + bytes(octets)
    return plain(net, b"stranger", bytes(8), IKE_SA_INIT, first=FUTURE, body=critical, response=response)


TOLD = {unknown_spi: 4, newer_version: 5, unknown_critical: 1}
STRANGE = pytest.mark.parametrize("strange", TOLD, ids=lambda strange: strange.__name__)


@STRANGE
def test_stranger_is_told_and_never_at_greater_length(strange):
    """An answer that is longer than what it answers would make floods out of trickles."""
    net = quiet()
    lengths = []
    for octets in range(60):
        request = strange(net, octets)
        answers = give(net, net.sun, request)
        net.now += 1
        for answer in answers:
            assert len(answer.data) <= len(request.data)
            [notify] = read_message(answer.data).payloads
            assert notify.type == TOLD[strange]
            lengths.append(len(request.data))
    assert lengths, "some are long enough to be answered"
    assert min(lengths) > 28


@STRANGE
def test_stranger_is_told_so_many_times_a_second_and_no_more(strange):
    net = quiet()
    answers = [give(net, net.sun, strange(net, 40)) for _ in range(1000)]
    assert 1 <= sum(map(len, answers)) <= BURST
    assert not any(answers[500:])
    net.now += 1
    assert len(give(net, net.sun, strange(net, 40))) == 1


@STRANGE
def test_answer_of_a_stranger_is_not_answered(strange):
    """RFC 7296 2.21.4: two that answer each other's answers would never end."""
    net = quiet()
    assert give(net, net.sun, strange(net, 40, response=True)) == []


def first_request(net):
    net.initiate(net.moon)
    [request] = net.moon.engine.take_datagrams()
    return request


def with_nonce(request, number):
    message = read_message(request.data)
    nonce = NoncePayload(number.to_bytes(2, "big") * 16)
    payloads = [nonce if isinstance(p, NoncePayload) else p for p in message.payloads]
    head = message.header
    data = write_message(
        head.spi_i, head.spi_r, IKE_SA_INIT, initiator=True, response=False, message_id=0, payloads=payloads
    )
    return replace(request, data=data)


@pytest.mark.parametrize("refusal", ["proposal", "key exchange method", "address"])
def test_refusals_of_first_requests_are_few_and_short(refusal):
    """No cookie is asked for here: each request might come from another forged address."""
    moon = connection(proposals=ike("aes128gcm16-prfsha256-x25519-ecp256"))
    sun = {
        "proposal": mirrored(moon, proposals=ike("aes256gcm16-prfsha384-ecp384")),
        "key exchange method": mirrored(moon, proposals=ike("aes128gcm16-prfsha256-ecp256")),
        "address": mirrored(moon, remote_addrs=("203.0.113.7",)),
    }[refusal]
    net = network(moon, sun)
    request = first_request(net)
    answers = [give(net, net.sun, with_nonce(request, n)) for n in range(1000)]
    sent = [answer for each in answers for answer in each]
    assert 1 <= len(sent) <= FIRST_BURST
    assert not any(answers[FIRST_BURST:])
    assert all(len(answer.data) < len(request.data) // 3 for answer in sent)
    assert not net.sun.engine.snapshot(net.now)


@pytest.mark.parametrize("lacking", ["SA", "KE", "nonce"])
def test_first_request_that_lacks_something_is_met_with_silence(lacking):
    net = network()
    request = first_request(net)
    message = read_message(request.data)
    kind = {"SA": type(message.payloads[0]), "KE": KePayload, "nonce": NoncePayload}[lacking]
    payloads = [p for p in message.payloads if not isinstance(p, kind)]
    data = write_message(
        message.header.spi_i,
        bytes(8),
        IKE_SA_INIT,
        initiator=True,
        response=False,
        message_id=0,
        payloads=payloads,
    )
    assert give(net, net.sun, replace(request, data=data)) == []
    assert net.sun.reasons() == ["missing_payload"]
    assert not net.sun.engine.snapshot(net.now)


def test_flood_of_refused_messages_does_not_flood_the_log():
    net = quiet()
    for _ in range(1000):
        give(net, net.sun, unknown_spi(net, 40))
    assert 1 <= len(net.sun.of(ev.Rejected)) <= 200


def test_unprotected_notification_to_an_ike_sa_changes_nothing():
    net = quiet()
    sa = only_sa(net.moon)
    payload = (NotifyPayload(NotifyType.INVALID_SYNTAX),)
    data = write_message(
        sa.spi_i,
        sa.spi_r,
        INFORMATIONAL,
        initiator=True,
        response=False,
        message_id=sa.requests.next_id,
        payloads=payload,
    )
    assert give(net, net.sun, Datagram(sa.local, sa.remote, data)) == []
    assert net.sun.reasons() == ["unprotected"]
    assert len(net.sun.plane.known) == 1
