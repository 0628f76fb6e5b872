"""Outbound policies: an SA before a trap, narrow before wide, the newest SA carries, the last removes."""

from __future__ import annotations

from ipaddress import ip_network

from ironswan.dataplane.null import NullDataPlane
from ironswan.gateway.interfaces import Interfaces
from ironswan.gateway.policies import Policies, priority
from ironswan.policy.selectors import TrafficSelector

TARGET = ("home", "lan")


def net(text: str, protocol: int = 0) -> tuple[TrafficSelector, ...]:
    network = ip_network(text)
    return (TrafficSelector(network[0], network[-1], protocol),)


LEFT, RIGHT = net("10.1.0.0/24"), net("10.2.0.0/24")


def with_handles(plane: NullDataPlane, number: int) -> list[int]:
    keywords = {
        "esn": False,
        "local_addr": "192.0.2.1",
        "local_port": 4500,
        "remote_addr": "192.0.2.2",
        "remote_port": 4500,
    }
    return [plane.install_outbound(256 + i, "aes128gcm16", b"", **keywords) for i in range(number)]  # type: ignore[arg-type]


def bound(plane: NullDataPlane) -> list[int | None]:
    return [policy.handle for policy in plane.policies.values()]


def test_sa_comes_before_its_trap_and_narrow_before_wide() -> None:
    narrow, wide = net("10.2.0.0/24"), net("0.0.0.0/0")
    order = [
        priority(LEFT, net("10.2.0.0/24", 6), trap=False),
        priority(LEFT, narrow, trap=False),
        priority(LEFT, narrow, trap=True),
        priority(LEFT, wide, trap=False),
        priority(wide, wide, trap=False),
        priority(wide, wide, trap=True),
    ]
    assert order == sorted(order)
    assert len(set(order)) == len(order)


def test_sa_that_may_not_send_yet_is_not_bound() -> None:
    plane = NullDataPlane()
    Policies(plane, Interfaces(plane)).join(1, TARGET, LEFT, RIGHT)
    assert bound(plane) == [None]


def test_rekeyed_sa_shares_the_policy_and_takes_over() -> None:
    plane = NullDataPlane()
    policies, (old, new) = Policies(plane, Interfaces(plane)), with_handles(plane, 2)
    policies.join(1, TARGET, LEFT, RIGHT)
    policies.use(1, old)
    policies.join(2, TARGET, LEFT, RIGHT)
    assert bound(plane) == [old]
    policies.use(2, new)
    assert bound(plane) == [new]
    policies.leave(1)
    assert bound(plane) == [new]


def test_older_sa_takes_over_when_the_newer_goes() -> None:
    plane = NullDataPlane()
    policies, (old, new) = Policies(plane, Interfaces(plane)), with_handles(plane, 2)
    for child, handle in ((1, old), (2, new)):
        policies.join(child, TARGET, LEFT, RIGHT)
        policies.use(child, handle)
    policies.leave(2)
    assert bound(plane) == [old]


def test_policy_goes_with_its_last_sa_and_the_trap_stays() -> None:
    plane = NullDataPlane()
    policies, (handle,) = Policies(plane, Interfaces(plane)), with_handles(plane, 1)
    policies.trap(TARGET, LEFT, RIGHT)
    policies.join(1, TARGET, LEFT, RIGHT)
    policies.use(1, handle)
    assert len(plane.policies) == 2
    policies.leave(1)
    assert bound(plane) == [None]


def test_packets_on_a_policy_without_trap_ask_for_nothing() -> None:
    plane = NullDataPlane()
    policies = Policies(plane, Interfaces(plane))
    policies.join(1, TARGET, LEFT, RIGHT)
    (plain,) = plane.policies
    assert policies.acquirer(plain) is None
    policies.trap(TARGET, LEFT, RIGHT)
    trapped = max(plane.policies)
    assert policies.acquirer(trapped) == TARGET
    assert policies.acquirer(999) is None


def test_trap_with_other_selectors_is_there_before_the_old_one_goes() -> None:
    plane = NullDataPlane()
    policies = Policies(plane, Interfaces(plane))
    policies.trap(TARGET, LEFT, RIGHT)
    policies.trap(TARGET, LEFT, net("10.3.0.0/24"))
    assert [name for name, _ in plane.calls] == ["add_policy", "add_policy", "remove_policy"]


def test_same_trap_again_changes_nothing() -> None:
    plane = NullDataPlane()
    policies = Policies(plane, Interfaces(plane))
    policies.trap(TARGET, LEFT, RIGHT)
    policies.trap(TARGET, LEFT, RIGHT)
    assert [name for name, _ in plane.calls] == ["add_policy"]


def test_own_sa_of_a_worker_stands_beside_the_one_for_all() -> None:
    plane = NullDataPlane(workers=2)
    policies, (everyone, own, newer) = Policies(plane, Interfaces(plane)), with_handles(plane, 3)
    for child in (1, 2, 3):
        policies.join(child, TARGET, LEFT, RIGHT)
    policies.use(1, everyone)
    policies.use(2, own, worker=1)
    [policy] = plane.policies.values()
    assert (policy.handle, policy.own) == (everyone, {1: own})
    policies.use(3, newer, worker=1)
    assert policy.own == {1: newer}
    policies.leave(2)
    assert policy.own == {1: newer}
    policies.leave(3)
    assert (policy.handle, policy.own) == (everyone, {})
    assert policies.carrier(policies.policy_of(1) or 0, 1) is None


def test_own_sa_carries_everything_when_the_one_for_all_is_gone() -> None:
    plane = NullDataPlane(workers=2)
    policies, (everyone, own, another) = Policies(plane, Interfaces(plane)), with_handles(plane, 3)
    for child in (1, 2, 3):
        policies.join(child, TARGET, LEFT, RIGHT)
    policies.use(1, everyone)
    policies.use(2, own, worker=0)
    policies.leave(1)
    [policy] = plane.policies.values()
    assert (policy.handle, policy.own) == (own, {0: own})
    policies.use(3, another)
    assert (policy.handle, policy.own) == (another, {0: own})
