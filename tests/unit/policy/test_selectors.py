"""Traffic selectors: syntax, what they contain, and narrowing (I74, I76)."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironswan.policy import selectors as selectors_module
from ironswan.policy.selectors import (
    MAX_SELECTORS,
    OPAQUE_PORTS,
    TrafficSelector,
    are_within,
    contains,
    intersect,
    is_subset,
    narrow,
    parse_selector,
    without_covered,
)

OWN = ip_address("192.0.2.1")


def ts(text: str) -> TrafficSelector:
    return parse_selector(text).resolve(OWN)


@st.composite
def selectors(draw: st.DrawFn) -> TrafficSelector:
    start = draw(st.integers(0, 40))
    end = draw(st.integers(start, 40))
    low = draw(st.integers(0, 8))
    ports = draw(st.sampled_from([(0, 65535), OPAQUE_PORTS, (low, draw(st.integers(low, 8)))]))
    protocol = draw(st.sampled_from([0, 6, 17]))
    return TrafficSelector(IPv4Address(start), IPv4Address(end), protocol, *ports)


packets = st.tuples(st.sampled_from([6, 17]), st.integers(0, 40).map(IPv4Address), st.integers(0, 9))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.0.0/16", ("10.1.0.0", "10.1.255.255", 0, 0, 65535)),
        ("10.1.0.9", ("10.1.0.9", "10.1.0.9", 0, 0, 65535)),
        ("10.1.0.1-10.1.0.9", ("10.1.0.1", "10.1.0.9", 0, 0, 65535)),
        ("dynamic[udp]", ("192.0.2.1", "192.0.2.1", 17, 0, 65535)),
        ("10.0.0.0/8[tcp/80]", ("10.0.0.0", "10.255.255.255", 6, 80, 80)),
        ("10.0.0.0/8[udp/1000-2000]", ("10.0.0.0", "10.255.255.255", 17, 1000, 2000)),
        ("10.0.0.0/8[icmp/8]", ("10.0.0.0", "10.255.255.255", 1, 0x0800, 0x08FF)),
        ("10.0.0.0/8[icmp/3.4]", ("10.0.0.0", "10.255.255.255", 1, 0x0304, 0x0304)),
        ("10.0.0.0/8[17/opaque]", ("10.0.0.0", "10.255.255.255", 17, *OPAQUE_PORTS)),
        ("10.0.0.0/8[any/any]", ("10.0.0.0", "10.255.255.255", 0, 0, 65535)),
        ("2001:db8::/126", ("2001:db8::", "2001:db8::3", 0, 0, 65535)),
    ],
)
def test_text_becomes_selector(text: str, expected: tuple[str, str, int, int, int]) -> None:
    found = ts(text)
    assert (str(found.start), str(found.end), found.protocol, found.start_port, found.end_port) == expected


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "10.0.0.0/33", "10.0.0.0/8[tcp", "10.0.0.0/8[tcp/70000]",
     "10.0.0.0/8[tcp/9-1]", "10.0.0.0/8[nothing/80]", "host.example", "10.0.0.0/8[icmp/300]"],
)  # fmt: skip
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        parse_selector(text)


@given(selectors())
def test_text_of_a_selector_reads_back(selector: TrafficSelector) -> None:
    assert ts(str(selector)) == selector


@given(selectors(), selectors(), packets)
def test_intersection_contains_what_both_contain(
    a: TrafficSelector, b: TrafficSelector, packet: tuple[int, IPv4Address, int]
) -> None:
    both = intersect(a, b)
    assert (both is not None and contains(both, *packet)) == (contains(a, *packet) and contains(b, *packet))


@given(selectors(), selectors())
def test_intersection_is_a_subset_of_each(a: TrafficSelector, b: TrafficSelector) -> None:
    both = intersect(a, b)
    assert both == intersect(b, a)
    assert both is None or (is_subset(both, a) and is_subset(both, b))


@given(st.lists(selectors(), max_size=4), st.lists(selectors(), max_size=4))
def test_narrowed_selectors_are_of_both_sides(proposed: list[TrafficSelector], allowed: list[TrafficSelector]) -> None:
    """I74: narrowing yields a subset of both."""
    for selector in narrow(proposed, allowed):
        assert any(is_subset(selector, p) for p in proposed)
        assert any(is_subset(selector, a) for a in allowed)


@given(st.lists(selectors(), max_size=3), st.lists(selectors(), max_size=3), packets)
def test_narrowing_loses_no_packet_that_both_sides_want(
    proposed: list[TrafficSelector], allowed: list[TrafficSelector], packet: tuple[int, IPv4Address, int]
) -> None:
    wanted = any(contains(p, *packet) for p in proposed) and any(contains(a, *packet) for a in allowed)
    assert any(contains(s, *packet) for s in narrow(proposed, allowed)) == wanted


def test_narrowing_keeps_the_order_proposed() -> None:
    """I74: the selector of the packet comes first."""
    result = narrow([ts("10.2.0.5[tcp/80]"), ts("10.1.0.0/16")], [ts("10.1.0.0/24"), ts("10.2.0.0/24")])
    assert [str(s) for s in result] == ["10.2.0.5/32[tcp/80]", "10.1.0.0/24"]


def test_nothing_in_common_narrows_to_nothing() -> None:
    assert narrow([ts("10.1.0.0/16")], [ts("10.2.0.0/16")]) == ()
    assert narrow([ts("0.0.0.0/0")], [ts("::/0")]) == ()


@given(selectors(), selectors())
def test_a_subset_is_what_an_intersection_leaves_whole(a: TrafficSelector, b: TrafficSelector) -> None:
    assert is_subset(a, b) == are_within([a], [b]) == (intersect(a, b) == a)


def test_a_prefix_of_one_family_is_not_within_the_other() -> None:
    assert not is_subset(ts("10.0.0.0/8"), ts("::/0"))
    assert not is_subset(ts("::a00:0/104"), ts("0.0.0.0/0"))
    assert is_subset(ts("::a00:0/104"), ts("::/0"))


@given(st.lists(selectors(), max_size=8))
def test_no_selector_is_kept_that_another_one_covers(given: list[TrafficSelector]) -> None:
    kept = without_covered(given)
    assert list(kept) == [s for s in dict.fromkeys(given) if s in kept], "in their order"
    assert all(a is b or not is_subset(a, b) for a in kept for b in kept)
    assert are_within(given, kept)


def test_narrowing_is_bounded_and_so_is_what_it_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """T03: all the selectors that fit into a payload, each of which meets each of ours."""
    proposed = [ts(f"10.0.0.0/8[tcp/{port}]") for port in range(1, 300)]
    allowed = [ts(f"10.{n}.0.0/16") for n in range(256)]
    made = []
    monkeypatch.setattr(selectors_module, "intersect", lambda a, b: (made.append(a), intersect(a, b))[1])
    result = narrow(proposed, allowed)
    assert len(result) == len(made) == MAX_SELECTORS
    assert result[0] == intersect(proposed[0], allowed[0]), "the first is still that of the packet"


def test_what_is_covered_is_not_combined_with_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """T03."""
    made = []
    monkeypatch.setattr(selectors_module, "intersect", lambda a, b: (made.append(a), intersect(a, b))[1])
    proposed = [*(ts(f"10.0.0.0/8[tcp/{port}]") for port in range(1, 200)), ts("0.0.0.0/0")]
    allowed = [ts(f"10.{n}.0.0/16") for n in range(16)]
    assert narrow(proposed, allowed) == tuple(allowed)
    assert len(made) == len(allowed)


def test_opaque_ports_are_within_any_and_no_other_range() -> None:
    """I76."""
    opaque = ts("10.0.0.0/8[udp/opaque]")
    assert is_subset(opaque, ts("10.0.0.0/8"))
    assert intersect(opaque, ts("10.0.0.0/8[udp/1-9]")) is None


@pytest.mark.parametrize("values", [("10.0.0.9", "10.0.0.1", 0, 0, 65535), ("10.0.0.1", "::1", 0, 0, 65535),
                                    ("10.0.0.1", "10.0.0.1", 256, 0, 65535),
                                    ("10.0.0.1", "10.0.0.1", 6, 9, 1)])  # fmt: skip
def test_a_selector_cannot_be_wrong(values: tuple[str, str, int, int, int]) -> None:
    start, end, *rest = values
    with pytest.raises(ValueError, match=r"\w+"):
        TrafficSelector(ip_address(start), ip_address(end), *rest)
