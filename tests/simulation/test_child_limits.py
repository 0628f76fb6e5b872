"""How many Child SAs a peer gets on one IKE SA, and what it may say about others before they are there."""

from __future__ import annotations

import pytest
from scenarios import child, connection, established

from ironswan.ike import child_create, protect, resources
from ironswan.ike.children import remove
from ironswan.ike.delete import ChildDeleteTask
from ironswan.ike.types import ChildState, Datagram
from ironswan.ike.wanted import WantedChild
from ironswan.policy.transforms import Protocol
from ironswan.wire.delete import DeletePayload
from ironswan.wire.numbers import ExchangeType, NotifyType


@pytest.fixture
def few(monkeypatch):
    """The configuration alone decides about the limit: for one child and one worker twice 1 + 16."""
    monkeypatch.setattr(resources, "LEAST_CHILDREN", 0)
    return 34


def ask_again(net):
    """One more SA of the child there is; what an operation ended with."""
    [sa] = net.moon.engine._context.sas.values()
    operation = net.moon.engine._context.operations.begin()
    child_create.create(sa, WantedChild(sa.connection.children[0], operation), net.now)
    net.run(1)
    return net.moon.outcome(operation)


def test_peer_that_asks_for_the_same_child_for_ever_gets_no_additional_sas(few):
    net = established()
    net.traffic = False
    outcomes = [ask_again(net) for _ in range(few)]
    assert [outcome.ok for outcome in outcomes] == [True] * (few - 1) + [False]
    assert outcomes[-1].notify == NotifyType.NO_ADDITIONAL_SAS
    assert len(net.sun.plane.known) == few
    assert net.sun.reasons() == ["resources"]


def test_limit_leaves_room_for_every_worker_of_every_child():
    net = established(connection((child(), child("two", "10.3.0.0/16", "10.4.0.0/16"))), workers=(300, 300))
    [sa] = net.sun.engine._context.sas.values()
    assert resources.most_children(sa) >= 2 * (1 + 2 * 300)


def test_limit_makes_room_again_when_a_child_is_deleted(few):
    net = established()
    net.traffic = False
    while ask_again(net).ok:
        pass
    deleted = net.moon.engine.delete_child(max(net.moon.plane.known), net.now)
    net.run(1)
    assert net.moon.outcome(deleted).ok
    assert ask_again(net).ok


def test_peer_that_rekeys_and_never_deletes_is_refused_some_time(few, monkeypatch):
    monkeypatch.setattr(ChildDeleteTask, "build", lambda self, sa, now: None)
    net = established()
    net.traffic = False
    for _ in range(3 * few):
        net.moon.engine.rekey_child(max(net.moon.plane.known), net.now)
        net.run(1)
    assert len(net.sun.plane.known) == 2 * few
    assert "resources" in net.sun.reasons()
    states = [c.state for _, c in net.sun.engine._context.children.values()]
    assert states.count(ChildState.INSTALLED) == 1


def deletes(net, *spis):
    """Sun deletes Child SAs by SPIs of its own, whether there are any or not."""
    [sa] = net.sun.engine._context.sas.values()
    payload = DeletePayload(Protocol.ESP, tuple(spi.to_bytes(4, "big") for spi in spis))
    datagrams = protect.seal(sa, ExchangeType.INFORMATIONAL, sa.requests.next_id, (payload,), response=False)
    sa.requests.next_id += 1
    for data in datagrams:
        net.moon.engine.receive(Datagram(net.moon.endpoint, net.sun.endpoint, data), net.now)
    net.turn(net.moon)


def early(net):
    return [sa.early_deletes for sa in net.moon.engine._context.sas.values()]


def test_delete_of_an_sa_that_never_was_does_not_count_for_a_later_one_with_its_spi():
    net = established(connection((child(), child("two", "10.3.0.0/16", "10.4.0.0/16"))))
    net.traffic = False
    deletes(net, net.sun.spis + 1)
    assert early(net) == [set()]
    net.run(3600)
    operation = net.initiate(net.moon, child="two")
    net.run(5)
    assert net.moon.outcome(operation).kind == "established"
    net.consistent()


def test_delete_counts_for_the_answer_that_is_awaited_and_no_other():
    net = established(connection((child(), child("two", "10.3.0.0/16", "10.4.0.0/16"))))
    net.traffic = False
    held = net.hold(net.sun)
    operation = net.initiate(net.moon, child="two")
    net.run(1)
    deletes(net, net.sun.spis, net.sun.spis + 1)
    held.release()
    net.run(1)
    assert net.moon.outcome(operation).kind == "closed"
    [sa] = net.sun.engine._context.sas.values()
    remove(sa, next(c for c in sa.children.values() if c.policy.name == "two"), "deleted")
    net.turn(net.sun)
    again = net.initiate(net.moon, child="two")
    net.run(5)
    assert net.moon.outcome(again).kind == "established"
    net.consistent()


def test_deletes_of_sas_that_never_were_are_not_kept_without_end():
    net = established()
    net.traffic = False
    held = net.hold(net.moon)
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.turn(net.moon)
    for n in range(20):
        deletes(net, *range(0x20000000 + n * 100, 0x20000000 + n * 100 + 100))
    assert [len(each) for each in early(net)] == [64]
    held.release()
