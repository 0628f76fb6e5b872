"""How many Child SAs a peer gets on one IKE SA, and what it may say about others before they are there."""

from __future__ import annotations

import pytest
from scenarios import child, connection, established

from ironswan.ike import child_create, resources
from ironswan.ike.delete import ChildDeleteTask
from ironswan.ike.types import ChildState
from ironswan.ike.wanted import WantedChild
from ironswan.wire.numbers import NotifyType


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
