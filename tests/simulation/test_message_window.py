"""Message IDs and fragments: what is answered, what is answered again, what is dropped (RFC 7296 2.3, RFC 7383)."""

from __future__ import annotations

import pytest
from protected import give, message_of, only_sa, payloads_of, requests_and_answers
from scenarios import connection, established, mirrored

from ironswan.ike import protect
from ironswan.ike.types import Datagram
from ironswan.policy.transforms import Protocol
from ironswan.wire.delete import DeletePayload
from ironswan.wire.message import read_message, write_payloads

INFORMATIONAL = 37


def quiet():
    net = established()
    net.traffic = False
    return net


def deleting_its_child(host):
    """What a host would send to delete its child."""
    [child] = host.plane.known.values()
    return (DeletePayload(Protocol.ESP, (child.inbound_spi.to_bytes(4, "big"),)),)


def next_id(host):
    return only_sa(host).requests.next_id


@pytest.mark.parametrize("ahead", [1, 2, 2**31, 2**32 - 3])
def test_request_ahead_of_the_window_is_not_acted_on(ahead):
    """RFC 7296 2.3: the window is one, and we never said that it was more."""
    net = quiet()
    expected = next_id(net.moon)
    early = message_of(net.moon, INFORMATIONAL, expected + ahead, deleting_its_child(net.moon))
    assert give(net, net.sun, early) == []
    assert "bad_message_id" in net.sun.reasons()
    assert len(net.sun.plane.known) == 1
    timely = message_of(net.moon, INFORMATIONAL, expected, deleting_its_child(net.moon))
    assert len(give(net, net.sun, timely)) == 1
    assert not net.sun.plane.known


def test_only_the_last_request_is_answered_again():
    """RFC 7296 2.1, 2.3: whoever sends the next one has the answer to the last."""
    net = quiet()
    first = next_id(net.moon)
    requests = [message_of(net.moon, INFORMATIONAL, first + n) for n in range(3)]
    answers = [give(net, net.sun, request) for request in requests]
    assert [len(answer) for answer in answers] == [1, 1, 1]
    assert give(net, net.sun, requests[2]) == answers[2]
    assert give(net, net.sun, requests[1]) == []
    assert give(net, net.sun, requests[0]) == []
    assert net.sun.reasons() == ["bad_message_id"] * 2


def test_request_again_under_the_same_number_is_not_another_request():
    """Not even if it says something else: it is answered as before."""
    net = quiet()
    number = next_id(net.moon)
    [answer] = give(net, net.sun, message_of(net.moon, INFORMATIONAL, number))
    [again] = give(net, net.sun, message_of(net.moon, INFORMATIONAL, number, deleting_its_child(net.moon)))
    assert again.data == answer.data
    assert len(net.sun.plane.known) == 1


@pytest.mark.parametrize("off", [-1, 1])
def test_answer_with_another_number_than_asked_is_not_believed(off):
    net = quiet()
    net.sent.clear()
    held = net.hold(net.sun)
    operation = net.moon.engine.delete_child(net.moon.child(), net.now)
    net.run(1)
    number = read_message(held.queue[0].data).header.message_id
    assert give(net, net.moon, message_of(net.sun, INFORMATIONAL, number + off, response=True)) == []
    assert net.moon.outcome(operation) is None
    held.release()
    net.run(5)
    assert net.moon.outcome(operation).ok


def test_answer_of_another_exchange_than_asked_is_not_believed():
    net = quiet()
    held = net.hold(net.sun)
    operation = net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(1)
    number = read_message(held.queue[0].data).header.message_id
    assert give(net, net.moon, message_of(net.sun, INFORMATIONAL, number, response=True)) == []
    assert net.moon.outcome(operation) is None
    held.release()
    net.run(10)
    assert net.moon.outcome(operation).kind == "rekeyed"


def test_answers_are_never_answered():
    """Neither those asked for, nor those again, nor those of IKE SAs that nobody has."""
    net = quiet()
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(10)
    answers = requests_and_answers(net, net.sun, response=True)
    assert answers
    for answer in answers:
        assert give(net, net.moon, answer) == []
        unknown = answer.data[:8] + bytes(range(8)) + answer.data[16:]
        assert give(net, net.moon, Datagram(answer.local, answer.remote, unknown)) == []


def test_liveness_checks_wait_while_the_peer_asks():
    """RFC 7296 2.4: whatever protected came is a sign of life, requests as well as answers."""
    moon = connection(dpd_delay=30.0)
    net = established(moon, mirrored(moon, dpd_delay=20.0))
    net.traffic = False
    net.sent.clear()
    net.run(1000)
    assert requests_and_answers(net, net.moon, response=False) == []
    assert 45 <= len(requests_and_answers(net, net.sun, response=False)) <= 50


def test_answers_put_the_next_liveness_check_off():
    moon = connection(dpd_delay=30.0)
    net = established(moon, mirrored(moon, dpd_delay=0.0))
    net.traffic = False
    net.run(20)
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(1)
    net.sent.clear()
    net.run(25)
    assert requests_and_answers(net, net.moon, response=False) == []


def fragments_of(host, payloads, firsts=None, cuts=2):
    """A request of a host in pieces; `firsts` are their Next Payload fields, else as RFC 7383 2.5 has them."""
    sa, (first, plaintext) = only_sa(host), write_payloads(payloads)
    size = -(-len(plaintext) // cuts)
    pieces = [plaintext[n * size : (n + 1) * size] for n in range(cuts)]
    firsts = firsts or [first] + [0] * (cuts - 1)
    return [
        Datagram(
            sa.local,
            sa.remote,
            protect._seal_one(
                sa, INFORMATIONAL, sa.requests.next_id, piece, firsts[n], response=False, place=(n + 1, cuts)
            ),
        )
        for n, piece in enumerate(pieces)
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 0, 1, 2)])
def test_fragments_make_one_request_in_any_order(order):
    net = quiet()
    fragments = fragments_of(net.moon, deleting_its_child(net.moon), cuts=3)
    answers = [give(net, net.sun, fragments[n]) for n in order]
    assert [len(answer) for answer in answers] == [0] * (len(order) - 1) + [1]
    assert not net.sun.plane.known


@pytest.mark.parametrize("wrong", ["a later one has it", "the first lacks it"])
def test_fragment_with_a_wrong_next_payload_is_none(wrong):
    """RFC 7383 2.5: the type of the first payload is in the first fragment and in no other."""
    net = quiet()
    payloads = deleting_its_child(net.moon)
    delete = write_payloads(payloads)[0]
    firsts = [delete, delete] if wrong == "a later one has it" else [0, 0]
    good, bad = fragments_of(net.moon, payloads), fragments_of(net.moon, payloads, firsts)
    wrong_one = 1 if wrong == "a later one has it" else 0
    assert give(net, net.sun, good[1 - wrong_one]) == []
    assert give(net, net.sun, bad[wrong_one]) == []
    assert len(net.sun.plane.known) == 1
    assert len(give(net, net.sun, good[wrong_one])) == 1
    assert not net.sun.plane.known


def test_request_cut_finer_meanwhile_starts_anew():
    """RFC 7383 2.5.2, 2.6: a peer that found a smaller path MTU; pieces of both never make one message."""
    net = quiet()
    payloads = deleting_its_child(net.moon)
    coarse, fine = fragments_of(net.moon, payloads), fragments_of(net.moon, payloads, cuts=3)
    arriving = [coarse[0], fine[1], coarse[0], fine[0]]
    assert [give(net, net.sun, fragment) for fragment in arriving] == [[]] * 4
    assert len(give(net, net.sun, fine[2])) == 1
    assert not net.sun.plane.known


def test_fragment_that_was_changed_on_the_way_does_not_spoil_the_rest():
    net = quiet()
    first, second = fragments_of(net.moon, deleting_its_child(net.moon))
    changed = Datagram(second.local, second.remote, second.data[:-1] + bytes([second.data[-1] ^ 1]))
    assert [give(net, net.sun, fragment) for fragment in (first, changed)] == [[], []]
    [answer] = give(net, net.sun, second)
    assert [type(p) for p in payloads_of(net.sun, answer)] == [DeletePayload]
