"""A responder that grants another Child SA than it was asked for is refused, and the SA it made is deleted.

Sun answers truly; what it says is changed and sealed again with its own keys (RFC 7296 2.7, 2.9, 3.3.6).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from protected import payloads_of, resealed
from scenarios import child, connection, esp, established, network, ts

from ironswan.policy.proposals import parse_proposal
from ironswan.policy.transforms import Protocol
from ironswan.wire.ke import KePayload
from ironswan.wire.message import Payload
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType
from ironswan.wire.sa import SaPayload
from ironswan.wire.ts import TsPayload

PFS = "aes128gcm16-x25519-ecp256"
ECP_256 = 19
EXCHANGES = ["auth", "create", "rekey"]
SELECTORS = {
    "wider": ("10.0.0.0/8",),
    "beside": ("10.1.0.0/16", "10.3.0.0/16", "10.2.0.0/16"),
    "other": ("172.16.0.0/12",),
    "other family": ("2001:db8::/32",),
}


def before(exchange, offered):
    """Moon has asked; sun has answered and knows its answer to be on the way."""
    moon = connection((child(esp_proposals=esp(offered)), child("voice", "10.3.0.0/16", "10.4.0.0/16")))
    net = network(moon) if exchange == "auth" else established(moon)
    net.traffic = False
    held = net.hold(net.sun)
    if exchange == "rekey":
        operation = net.moon.engine.rekey_child(net.moon.child(), net.now)
    elif exchange == "create":
        [old] = net.moon.plane.known
        net.moon.engine.delete_child(old, net.now)
        net.run(1)
        held.deliver()
        operation = net.initiate(net.moon)
    else:
        operation = net.initiate(net.moon)
        net.run(1)
        held.deliver()
    net.run(1)
    return net, held, operation


def answer(net, held, change):
    """Sun's answer arrives, changed; then everything goes its way."""
    [true] = held.queue[:1]
    changed = tuple(new for old in payloads_of(net.sun, true) for new in change(old))
    assert changed != payloads_of(net.sun, true)
    held.queue[0] = resealed(net.sun, true, changed)
    held.release()
    net.run(5)


def refused(net, operation, because):
    """Moon has nothing of it, sun nothing any more, and both still have the IKE SA."""
    assert net.moon.outcome(operation).kind == "local_refused"
    assert because in net.moon.reasons()
    net.consistent()
    assert [sa.state for host in net.hosts for sa in host.engine.snapshot(net.now)] == ["established"] * 2
    assert not any(sa.children for host in net.hosts for sa in host.engine.snapshot(net.now))


def with_selectors(kind, texts):
    def change(payload: Payload):
        if not isinstance(payload, TsPayload) or payload.initiator != (kind == "TSi"):
            return (payload,)
        return (replace(payload, selectors=tuple(ts(text).resolve(None) for text in texts)),)

    return change


def with_proposal(change_proposal):
    def change(payload: Payload):
        if not isinstance(payload, SaPayload):
            return (payload,)
        return (SaPayload(tuple(change_proposal(p) for p in payload.proposals)),)

    return change


def other_transforms(text):
    wanted = parse_proposal(text, Protocol.ESP).transforms
    return with_proposal(lambda proposal: replace(proposal, transforms=wanted))


@pytest.mark.parametrize("exchange", ["auth", "create"])
@pytest.mark.parametrize("kind", ["TSi", "TSr"])
@pytest.mark.parametrize("texts", SELECTORS.values(), ids=SELECTORS)
def test_selectors_we_did_not_offer_are_refused(exchange, kind, texts):
    net, held, operation = before(exchange, "aes128gcm16")
    answer(net, held, with_selectors(kind, texts))
    refused(net, operation, "selectors")


@pytest.mark.parametrize("exchange", ["auth", "create"])
@pytest.mark.parametrize(
    "transforms", ["aes256gcm16", "aes128gcm8", "aes128gcm16-esn", "chacha20poly1305", "aes128-sha256"]
)
def test_suite_we_did_not_offer_is_refused(exchange, transforms):
    net, held, operation = before(exchange, "aes128gcm16")
    answer(net, held, other_transforms(transforms))
    refused(net, operation, "not_our_offer")


@pytest.mark.parametrize("exchange", ["auth", "create"])
def test_number_of_a_proposal_we_did_not_make_is_refused(exchange):
    net, held, operation = before(exchange, "aes128gcm16")
    answer(net, held, with_proposal(lambda proposal: replace(proposal, number=2)))
    refused(net, operation, "not_our_offer")


@pytest.mark.parametrize("exchange", ["auth", "create"])
def test_protocol_we_did_not_offer_is_refused(exchange):
    net, held, operation = before(exchange, "aes128gcm16")
    answer(net, held, with_proposal(lambda proposal: replace(proposal, protocol=Protocol.AH)))
    refused(net, operation, "not_our_offer")


@pytest.mark.parametrize("exchange", ["auth", "create"])
def test_spi_of_zero_is_refused(exchange):
    """RFC 4303 2.1: it is never on the wire."""
    net, held, operation = before(exchange, "aes128gcm16")
    answer(net, held, with_proposal(lambda proposal: replace(proposal, spi=bytes(4))))
    refused(net, operation, "not_our_offer")


@pytest.mark.parametrize("exchange", ["auth", "create"])
def test_spi_of_another_length_is_refused(exchange):
    net, held, operation = before(exchange, "aes128gcm16")
    answer(net, held, with_proposal(lambda proposal: replace(proposal, spi=bytes(4) + proposal.spi)))
    refused(net, operation, "not_our_offer")


def test_key_exchange_with_another_method_than_we_sent_is_refused():
    """Offered, but our public value is of another group: an honest peer answers INVALID_KE_PAYLOAD."""
    net, held, operation = before("create", PFS)
    chosen = parse_proposal("aes128gcm16-ecp256", Protocol.ESP).transforms
    choose = with_proposal(lambda proposal: replace(proposal, transforms=chosen))

    def change(payload: Payload):
        return (KePayload(ECP_256, bytes(64)),) if isinstance(payload, KePayload) else choose(payload)

    answer(net, held, change)
    refused(net, operation, "wrong_ke")


def test_key_exchange_value_of_another_method_than_chosen_is_refused():
    net, held, operation = before("create", PFS)
    answer(net, held, lambda p: (replace(p, method=ECP_256),) if isinstance(p, KePayload) else (p,))
    refused(net, operation, "wrong_ke")


def test_chosen_method_other_than_that_of_the_value_is_refused():
    net, held, operation = before("create", PFS)
    answer(net, held, other_transforms("aes128gcm16-ecp256"))
    refused(net, operation, "wrong_ke")


def test_chosen_key_exchange_without_a_value_is_refused():
    net, held, operation = before("create", PFS)
    answer(net, held, lambda p: () if isinstance(p, KePayload) else (p,))
    refused(net, operation, "wrong_ke")


def test_key_exchange_left_out_where_we_insist_on_it_is_refused():
    net, held, operation = before("create", PFS)
    answer(net, held, other_transforms("aes128gcm16"))
    refused(net, operation, "not_our_offer")


@pytest.mark.parametrize("length", [0, 15, 257])
def test_nonce_of_a_wrong_length_ends_the_ike_sa(length):
    """RFC 7296 2.10, 2.21.3: the answer is malformed."""
    net, held, operation = before("create", "aes128gcm16")
    answer(net, held, lambda p: (NoncePayload(bytes(length)),) if isinstance(p, NoncePayload) else (p,))
    assert not net.moon.outcome(operation).ok
    assert "malformed" in net.moon.reasons()
    assert not net.moon.plane.known
    assert not net.moon.engine.snapshot(net.now)


def test_answer_without_a_nonce_ends_the_ike_sa_on_both_sides():
    net, held, operation = before("create", "aes128gcm16")
    answer(net, held, lambda p: () if isinstance(p, NoncePayload) else (p,))
    assert not net.moon.outcome(operation).ok
    assert "bad_nonce" in net.moon.reasons()
    assert not any(host.plane.known for host in net.hosts)
    assert not net.moon.engine.snapshot(net.now)


def test_public_value_that_is_none_ends_the_ike_sa():
    """RFC 6989 2.5: of low order."""
    net, held, operation = before("create", PFS)
    answer(net, held, lambda p: (replace(p, data=bytes(32)),) if isinstance(p, KePayload) else (p,))
    assert not net.moon.outcome(operation).ok
    assert "bad_ke" in net.moon.reasons()
    assert not any(host.plane.known for host in net.hosts)


@pytest.mark.parametrize("exchange", ["auth", "create"])
def test_transport_mode_we_did_not_ask_for_is_refused(exchange):
    net, held, operation = before(exchange, "aes128gcm16")
    use_transport = NotifyPayload(NotifyType.USE_TRANSPORT_MODE)
    answer(net, held, lambda p: (use_transport, p) if isinstance(p, SaPayload) else (p,))
    refused(net, operation, "mode")


CHANGES = {
    "selectors": with_selectors("TSr", SELECTORS["wider"]),
    "not_our_offer": other_transforms("aes256gcm16-x25519"),
    "wrong_ke": lambda p: (replace(p, method=ECP_256),) if isinstance(p, KePayload) else (p,),
}


@pytest.mark.parametrize("because", CHANGES)
def test_rekey_with_another_answer_than_asked_for_leaves_the_old_sa_in_use(because):
    net, held, operation = before("rekey", PFS)
    [(old, _)] = net.moon.plane.outbound.items()
    answer(net, held, CHANGES[because])
    assert net.moon.outcome(operation).kind == "local_refused"
    assert because in net.moon.reasons()
    net.run(5)
    net.consistent()
    assert net.moon.plane.current == {"net": old}
    assert [c.state for c in net.moon.engine.snapshot(net.now)[0].children] == ["installed"]
    assert len(net.sun.plane.known) == len(net.sun.plane.outbound) == 1
    assert net.moon.plane.installed == 1
    # Nor does the peer take it for replaced for ever: the next rekey is granted.
    net.run(60)
    net.consistent()
    assert net.moon.plane.installed == 2


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_true_answer_sealed_again_is_taken(exchange):
    """What the other tests would be worth nothing without."""
    net, held, operation = before(exchange, PFS)
    held.queue[0] = resealed(net.sun, held.queue[0], payloads_of(net.sun, held.queue[0]))
    held.release()
    net.run(10)
    assert net.moon.outcome(operation).ok
    net.consistent()
    assert [len(host.plane.known) for host in net.hosts] == [1, 1]
