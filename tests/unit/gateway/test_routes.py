"""Which routes keep what is protected off the wire."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from ironswan.gateway.routes import Kind, Protected, Route, own_source, prefixes, wanted
from ironswan.policy.selectors import TrafficSelector


def ts(start: str, end: str) -> TrafficSelector:
    return TrafficSelector(ip_address(start), ip_address(end))


def net(text: str) -> TrafficSelector:
    network = ip_network(text)
    return TrafficSelector(network[0], network[-1])


LEFT, RIGHT = net("10.1.0.0/24"), net("10.2.0.0/24")
ALL = net("0.0.0.0/0")


def test_carried_prefix_goes_to_the_tun_and_is_refused_without_it() -> None:
    routes = wanted([Protected((LEFT,), (RIGHT,), carried=True)], [ip_address("10.1.0.1")])
    prefix = ip_network("10.2.0.0/24")
    assert routes == {Route(prefix, Kind.TUN, ip_address("10.1.0.1")), Route(prefix, Kind.UNREACHABLE)}


def test_held_prefix_is_refused_only() -> None:
    routes = wanted([Protected((LEFT,), (RIGHT,), carried=False)], [])
    assert routes == {Route(ip_network("10.2.0.0/24"), Kind.UNREACHABLE)}


def test_own_side_of_a_policy_for_everything_stays_where_the_main_table_has_it() -> None:
    routes = wanted([Protected((LEFT,), (ALL,), carried=True)], [])
    assert Route(ip_network("10.1.0.0/24"), Kind.THROW) in routes
    assert Route(ip_network("0.0.0.0/0"), Kind.TUN) in routes


def test_everything_to_everything_throws_nothing() -> None:
    assert {r.kind for r in wanted([Protected((ALL,), (ALL,), carried=True)], [])} == {Kind.TUN, Kind.UNREACHABLE}


def test_range_becomes_its_prefixes() -> None:
    assert [str(p) for p in prefixes([ts("10.0.0.1", "10.0.0.4")])] == ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/32"]


def test_source_is_an_own_address_the_policy_covers() -> None:
    own = [ip_address(a) for a in ("192.0.2.1", "10.1.0.7", "fd00::1")]
    assert own_source(own, [LEFT], 4) == ip_address("10.1.0.7")
    assert own_source(own, [net("fd00::/64")], 6) == ip_address("fd00::1")
    assert own_source(own, [RIGHT], 4) is None


def test_policy_for_everything_leaves_the_source_to_the_kernel() -> None:
    assert own_source([ip_address("192.0.2.1")], [ALL], 4) is None


def test_families_do_not_mix() -> None:
    routes = wanted([Protected((LEFT, net("fd01::/64")), (RIGHT, net("fd02::/64")), carried=True)], [])
    assert {str(r.prefix) for r in routes} == {"10.2.0.0/24", "fd02::/64"}
