"""Traffic selectors: syntax, narrowing, the special ports."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironswan.policy.selectors import (
    OPAQUE_PORTS, TrafficSelector, contains, intersect, is_subset, narrow, parse_selector,
)  # fmt: skip


def ts(text):
    return parse_selector(text).resolve(ip_address("192.0.2.1"))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.2.3/16", "10.1.0.0/16"),
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"),
        ("dynamic", "192.0.2.1/32"),
        ("dynamic[tcp/80]", "192.0.2.1/32[tcp/80]"),
        ("2001:db8::/32[udp]", "2001:db8::/32[udp]"),
        ("10.0.0.0/8[udp/1000-2000]", "10.0.0.0/8[udp/1000-2000]"),
        ("10.0.0.0/8[17/opaque]", "10.0.0.0/8[udp/opaque]"),
        ("10.0.0.0/8[any/any]", "10.0.0.0/8"),
    ],
)
def test_syntax_is_swanctls(text, normal):
    assert str(ts(text)) == normal


def test_icmp_type_stands_in_the_high_octet():
    """I76."""
    assert (ts("10.0.0.1[icmp/8]").start_port, ts("10.0.0.1[icmp/8]").end_port) == (0x0800, 0x08FF)
    assert (ts("10.0.0.1[icmp/3.4]").start_port, ts("10.0.0.1[icmp/3.4]").end_port) == (0x0304, 0x0304)


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "x", "10.0.0.0/8[", "10.0.0.0/8[tcp/70000]",
                                  "10.0.0.0/8[tcp/9-1]", "10.0.0.0/8[300]", "10.0.0.0/8[bogus]"])  # fmt: skip
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError, match=".+"):
        parse_selector(text)


def test_narrowing_takes_what_is_of_both():
    """I74."""
    assert narrow([ts("10.0.0.0/8")], [ts("10.1.0.0/16[tcp]"), ts("10.2.0.0/16")]) == (ts("10.1.0.0/16[tcp]"), ts("10.2.0.0/16"))
    assert narrow([ts("10.0.0.0/8")], [ts("192.168.0.0/16"), ts("::/0")]) == ()
    assert narrow([ts("10.0.0.5"), ts("10.0.0.0/8")], [ts("10.0.0.0/16")]) == (ts("10.0.0.0/16"),)


def test_any_takes_opaque_in_and_a_range_does_not():
    """I76."""
    opaque = ts("10.0.0.1[tcp/opaque]")
    assert intersect(opaque, ts("10.0.0.0/8")) == opaque
    assert intersect(opaque, opaque) == opaque
    assert intersect(opaque, ts("10.0.0.0/8[tcp/80]")) is None
    assert (opaque.start_port, opaque.end_port) == OPAQUE_PORTS


def test_packets_are_of_a_selector_by_protocol_address_and_port():
    selector = ts("10.0.0.0/8[tcp/80]")
    assert contains(selector, 6, ip_address("10.9.9.9"), 80)
    assert not contains(selector, 17, ip_address("10.9.9.9"), 80)
    assert not contains(selector, 6, ip_address("11.0.0.0"), 80)
    assert not contains(selector, 6, ip_address("10.9.9.9"), 81)
    assert not contains(selector, 6, ip_address("::1"), 80)


@st.composite
def selectors(draw):
    low, high = sorted(draw(st.tuples(*[st.integers(0, 40)] * 2)))
    ports = sorted(draw(st.tuples(*[st.sampled_from([0, 80, 443, 65535])] * 2)))
    return TrafficSelector(ip_address(low), ip_address(high), draw(st.sampled_from([0, 6, 17])), *ports)


@given(st.lists(selectors(), max_size=4), st.lists(selectors(), max_size=4), st.integers(0, 40), st.sampled_from([6, 17]),
       st.sampled_from([0, 80, 443, 65535]))  # fmt: skip
def test_a_packet_is_of_the_narrowed_selectors_exactly_when_it_is_of_both(theirs, ours, address, protocol, port):
    """I74."""

    def covered(these):
        return any(contains(s, protocol, ip_address(address), port) for s in these)

    narrowed = narrow(theirs, ours)
    assert covered(narrowed) == (covered(theirs) and covered(ours))
    assert all(any(is_subset(n, t) for t in theirs) and any(is_subset(n, o) for o in ours) for n in narrowed)
