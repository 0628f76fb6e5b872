"""Identities: the syntax, the text, and who matches whom."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironswan.policy.identity import Identity, IdType, matches, same


@pytest.mark.parametrize(
    ("text", "kind", "data"),
    [
        ("192.0.2.1", IdType.IPV4_ADDR, b"\xc0\x00\x02\x01"),
        ("2001:db8::1", IdType.IPV6_ADDR, bytes.fromhex("20010db8000000000000000000000001")),
        ("moon.example", IdType.FQDN, b"moon.example"),
        ("@moon.example", IdType.FQDN, b"moon.example"),
        ("fqdn:192.0.2.1", IdType.FQDN, b"192.0.2.1"),
        ("carol@example", IdType.RFC822_ADDR, b"carol@example"),
        ("email:carol", IdType.RFC822_ADDR, b"carol"),
        ("keyid:gateway 7", IdType.KEY_ID, b"gateway 7"),
        ("keyid:#c0ffee", IdType.KEY_ID, b"\xc0\xff\xee"),
        ("@#c0ffee", IdType.KEY_ID, b"\xc0\xff\xee"),
    ],
)
def test_text_becomes_identity(text: str, kind: IdType, data: bytes) -> None:
    assert Identity.parse(text) == Identity(kind, data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fqdn:",
        "keyid:#xyz",
        "CN=moon",
        "ipv4:::1",
        "ipv6:192.0.2.1",
        "fqdn:^vpn[0-9]$",
        "{9}:x",
        "10.0.0.0/8",
        "asn1gn:x",
    ],
)
def test_what_is_no_identity_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        Identity.parse(text)


@pytest.mark.parametrize(
    ("pattern", "actual", "expected"),
    [
        ("moon.example", "moon.example", True),
        ("moon.example", "MOON.example", True),
        ("moon.example", "sun.example", False),
        ("*.example", "moon.example", True),
        ("*.example", "example", False),
        ("*.example", "moon.example.org", False),
        ("*@example", "carol@example", True),
        ("*@example", "carol@other", False),
        ("*.example", "carol@x.example", False),
        ("moon[0].example", "moon0.example", False),
        ("moon?.example", "moonx.example", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("fqdn:192.0.2.1", "192.0.2.1", False),
        ("keyid:A", "keyid:a", False),
        ("keyid:*", "keyid:a", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "a.b.b.c", True),
        ("a*b*c", "acb", False),
        ("a*a", "a", False),
        ("*b*", "abc", True),
        ("a**c", "ac", True),
        ("*.x.*.example", "a.x.y.example", True),
        ("*.x.*.example", "a.x.example", False),
        ("%any", "192.0.2.1", True),
        ("*", "keyid:x", True),
    ],
)
def test_pattern_matches_whom_it_names_only(pattern: str, actual: str, expected: bool) -> None:
    assert matches(Identity.parse(pattern), Identity.parse(actual)) is expected


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_asterisk_matches_as_in_a_file_name(pattern: str, name: str) -> None:
    wanted, given = Identity(IdType.FQDN, pattern.encode()), Identity(IdType.FQDN, name.encode())
    assert matches(wanted, given) == fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("moon.example", "MOON.example", True),
        ("carol@example", "CAROL@example", True),
        ("*.example", "moon.example", False),
        ("moon.example", "*.example", False),
        ("keyid:A", "keyid:a", False),
        ("fqdn:192.0.2.1", "192.0.2.1", False),
    ],
)
def test_identities_are_the_same_by_name_alone(one: str, other: str, expected: bool) -> None:
    assert same(Identity.parse(one), Identity.parse(other)) is expected


def test_no_pattern_is_anyone() -> None:
    assert matches(None, Identity.parse("keyid:x"))


def test_pattern_meets_only_its_own_type_even_with_octets_that_are_no_text() -> None:
    assert not matches(Identity.parse("*.example"), Identity(IdType.KEY_ID, b"\xff.example"))
    assert not matches(Identity.parse("*.example"), Identity(IdType.FQDN, b"\xff\x00"))


@given(st.integers(0, 255), st.binary(max_size=40))
def test_text_of_what_a_peer_sent_is_printable_ascii(kind: int, data: bytes) -> None:
    text = str(Identity(kind, data))
    assert text.isascii()
    assert text.isprintable()


@given(st.text(max_size=30))
def test_parsing_raises_value_error_only(text: str) -> None:
    try:
        identity = Identity.parse(text)
    except ValueError:
        return
    assert matches(identity, identity)
