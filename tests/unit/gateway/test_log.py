"""Log lines: what a peer sends can neither forge a line nor flood the log (T22)."""

from __future__ import annotations

from ironswan.gateway.log import BURST, WINDOW, RateLimit, plain


def test_control_characters_and_escapes_of_a_peer_are_shown_not_obeyed() -> None:
    assert plain("a\nb\x1b[31m\x00") == "a\\nb\\x1b[31m\\x00"


def test_readable_letters_of_any_language_stay() -> None:
    assert plain("Grüße 平和") == "Grüße 平和"


def test_long_text_is_cut() -> None:
    text = plain("x" * 10_000)
    assert len(text) < 700
    assert text.endswith("more)")


def test_one_kind_is_limited_and_others_are_not() -> None:
    limit = RateLimit()
    assert [limit.admit("a", 0.0) for _ in range(BURST + 2)] == [""] * BURST + [None] * 2
    assert limit.admit("b", 0.0) == ""


def test_how_many_were_left_out_is_told_once_with_the_next_of_the_kind() -> None:
    limit = RateLimit()
    for _ in range(BURST + 2):
        limit.admit("a", 0.0)
    assert limit.admit("b", WINDOW) == ""
    assert limit.admit("a", WINDOW) == " (2 more like this were left out)"
    assert limit.admit("a", WINDOW) == ""
