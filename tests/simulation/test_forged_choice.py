"""An answer to IKE_SA_INIT is unprotected until AUTH: one that chooses what we did not offer changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenarios import connection, ike, network

from ironswan.ike.types import Datagram
from ironswan.policy.transforms import Integ, Transform, TransformType
from ironswan.wire.message import read_message, write_message
from ironswan.wire.numbers import ExchangeType
from ironswan.wire.sa import SaPayload


def forged(datagram, change):
    """The responder's answer with another choice in it."""
    read = read_message(datagram.data)
    payloads = [SaPayload((change(p.proposals[0]),)) if isinstance(p, SaPayload) else p for p in read.payloads]
    head = read.header
    return write_message(
        head.spi_i, head.spi_r, head.exchange, initiator=head.initiator, response=True, message_id=0, payloads=payloads
    )


def without(kind):
    return lambda p: replace(p, transforms=tuple(t for t in p.transforms if t.type != kind))


def with_integrity_none(proposal):
    none = Transform(TransformType.INTEG, Integ.NONE)
    return replace(proposal, transforms=(*without(TransformType.INTEG)(proposal).transforms, none))


@pytest.mark.parametrize(
    "change", [with_integrity_none, without(TransformType.INTEG), without(TransformType.KE), without(TransformType.PRF)]
)
def test_choice_we_did_not_offer_is_refused_and_the_true_answer_still_accepted(change):
    """I44, I47."""
    net = network(connection(proposals=ike("aes128-sha256-x25519")))

    def fate(net, host, datagram):
        if host is net.sun and datagram.data[18] == ExchangeType.IKE_SA_INIT:
            bad = Datagram(datagram.remote, datagram.local, forged(datagram, change))
            host.peer.engine.receive(bad, net.now)
        return [net.delay]

    net.fate = fate
    operation = net.initiate(net.moon)
    net.run(60)
    assert net.moon.outcome(operation).kind == "established"
    assert "not_our_offer" in net.moon.reasons()
