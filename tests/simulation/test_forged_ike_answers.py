"""A responder that makes another IKE SA than it was asked for is not followed, at the start and when rekeying.

An answer to IKE_SA_INIT is unprotected: a forged one changes nothing. One to a rekey is the peer's: the IKE SA ends.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from protected import give, payloads_of, resealed
from scenarios import connection, established, ike, network

from ironswan.ike import events as ev
from ironswan.policy.transforms import Protocol
from ironswan.wire.ke import KePayload
from ironswan.wire.message import read_message, write_message
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType
from ironswan.wire.sa import SaPayload

TWO_METHODS = ike("aes128gcm16-prfsha256-x25519-ecp256")
ECP_256 = 19
X25519 = 31
BASE_POINT = bytes([9]) + bytes(31)


def proposal(change_proposal):
    def change(payload):
        if not isinstance(payload, SaPayload):
            return (payload,)
        return (SaPayload(tuple(change_proposal(p) for p in payload.proposals)),)

    return change


def transforms(text):
    return proposal(lambda p: replace(p, transforms=ike(text)[0].transforms))


def key_exchange(**values):
    return lambda payload: (replace(payload, **values),) if isinstance(payload, KePayload) else (payload,)


def without(kind):
    return lambda payload: () if isinstance(payload, kind) else (payload,)


OTHER_CHOICES = {
    "another cipher": transforms("aes256gcm16-prfsha256-x25519"),
    "another PRF": transforms("aes128gcm16-prfsha384-x25519"),
    "another method than that of the value": transforms("aes128gcm16-prfsha256-ecp256"),
    "value of another method": key_exchange(method=ECP_256),
    "number that was not offered": proposal(lambda p: replace(p, number=2)),
    "proposal for ESP": proposal(lambda p: replace(p, protocol=Protocol.ESP)),
    "two proposals": lambda p: (SaPayload(p.proposals * 2),) if isinstance(p, SaPayload) else (p,),
    "no proposal": without(SaPayload),
    "no value": without(KePayload),
    "no nonce": without(NoncePayload),
    "value of low order": key_exchange(data=bytes(32)),
}
ONLY_WHEN_REKEYING = {
    "SPI of zero": proposal(lambda p: replace(p, spi=bytes(8))),
    "SPI of an ESP SA": proposal(lambda p: replace(p, spi=p.spi[:4])),
}


def forged(datagram, change):
    head = read_message(datagram.data).header
    payloads = [new for old in read_message(datagram.data).payloads for new in change(old)]
    data = write_message(
        head.spi_i, head.spi_r, head.exchange, initiator=False, response=True, message_id=0, payloads=payloads
    )
    assert data != datagram.data
    return replace(datagram, data=data)


def both_methods_in(value):
    """Answers with the other method, value and all: only that we did not send one of it speaks against them."""
    other = transforms("aes128gcm16-prfsha256-ecp256")
    return lambda p: (KePayload(ECP_256, value),) if isinstance(p, KePayload) else other(p)


@pytest.mark.parametrize(
    "change",
    [*OTHER_CHOICES.values(), both_methods_in(bytes(64)), both_methods_in(BASE_POINT)],
    ids=[*OTHER_CHOICES, "other method", "other method, value of ours"],
)
def test_forged_answer_is_dropped_and_the_true_one_still_taken(change):
    """RFC 7296 2.7, 3.4; RFC 6989 2.5: silence, and the request stays outstanding."""
    net = network(connection(proposals=TWO_METHODS))
    held = net.hold(net.sun)
    operation = net.initiate(net.moon)
    net.run(0.2)
    assert give(net, net.moon, forged(held.queue[0], change)) == []
    assert net.moon.reasons() == ["not_our_offer"]
    assert net.moon.outcome(operation) is None
    held.release()
    net.run(5)
    assert net.moon.outcome(operation).kind == "established"
    net.consistent()


@pytest.mark.parametrize(("method", "taken"), [(ECP_256, True), (X25519, False), (20, False), (0, False)])
def test_asked_for_key_exchange_method_is_one_we_offered_and_did_not_send(method, taken):
    """INVALID_KE_PAYLOAD is unprotected too; RFC 7296 2.7, 3.10.1."""
    net = network(connection(proposals=TWO_METHODS))
    net.initiate(net.moon)
    [request] = net.moon.engine.take_datagrams()
    notify = NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, method.to_bytes(2, "big"))
    data = write_message(
        read_message(request.data).header.spi_i,
        bytes(8),
        34,
        initiator=False,
        response=True,
        message_id=0,
        payloads=(notify,),
    )
    again = give(net, net.moon, replace(request, local=request.remote, remote=request.local, data=data))
    assert [p.method for a in again for p in read_message(a.data).payloads if isinstance(p, KePayload)] == (
        [method] if taken else []
    )


def rekeying():
    net = established(connection(proposals=TWO_METHODS))
    net.traffic = False
    held = net.hold(net.sun)
    operation = net.moon.engine.rekey_ike(net.moon.ike(), net.now)
    net.run(0.2)
    return net, held, operation


@pytest.mark.parametrize(
    "change",
    [*OTHER_CHOICES.values(), *ONLY_WHEN_REKEYING.values(), both_methods_in(bytes(64)), both_methods_in(BASE_POINT)],
    ids=[*OTHER_CHOICES, *ONLY_WHEN_REKEYING, "other method", "other method, value of ours"],
)
def test_rekeyed_ike_sa_that_was_not_asked_for_is_not_made(change):
    net, held, operation = rekeying()
    [true] = held.queue
    payloads = tuple(new for old in payloads_of(net.sun, true) for new in change(old))
    assert payloads != payloads_of(net.sun, true)
    held.queue[0] = resealed(net.sun, true, payloads)
    held.release()
    net.run(5)
    assert net.moon.outcome(operation).kind == "local_refused"
    assert not net.moon.of(ev.IkeRekeyed)
    assert [e.ike_id for e in net.moon.of(ev.IkeRemoved)] == [1]
    assert not net.moon.plane.known
    assert not net.moon.engine.snapshot(net.now)


def test_true_answer_sealed_again_makes_one():
    """What the others would be worth nothing without."""
    net, held, operation = rekeying()
    held.queue[0] = resealed(net.sun, held.queue[0], payloads_of(net.sun, held.queue[0]))
    held.release()
    net.run(5)
    assert net.moon.outcome(operation).kind == "rekeyed"
    net.consistent()
