"""What a stranger, or a peer that turned hostile, can make us spend: work, replies, state (T01, T03)."""

from __future__ import annotations

from dataclasses import replace

from scenarios import SECRET, SUN, connection, ike, mirrored
from simulator import Host, endpoint

from ironswan.ike import sa_init_respond
from ironswan.ike.types import Because, Datagram
from ironswan.policy import proposals
from ironswan.policy.connection import Configuration, Settings
from ironswan.wire.ke import KePayload
from ironswan.wire.message import write_message
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.numbers import ExchangeType
from ironswan.wire.sa import SaPayload

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
