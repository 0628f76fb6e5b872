"""The words on the control socket."""

from __future__ import annotations

import pytest

from ironswan.control.protocol import CommandError, ExitCode, decode, encode


def test_exit_codes_are_what_the_help_says() -> None:
    assert [(code.word, code.value) for code in ExitCode] == [
        ("ok", 0),
        ("failed", 1),
        ("usage", 2),
        ("not_running", 3),
        ("no_such_object", 4),
        ("configuration", 5),
        ("peer_refused", 6),
        ("timeout", 7),
        ("permission", 8),
    ]


def test_every_exit_code_survives_the_socket() -> None:
    assert [ExitCode.of(code.word) for code in ExitCode] == list(ExitCode)
    assert ExitCode.of("something from a later version") is ExitCode.FAILED


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'"up"', b"\xff\xfe", b"[" * 5000])
def test_line_that_is_no_json_object_is_wrong_usage(line: bytes) -> None:
    with pytest.raises(CommandError) as refused:
        decode(line)
    assert refused.value.code is ExitCode.USAGE


def test_message_is_one_line_whatever_it_holds() -> None:
    line = encode({"progress": "a\nb"})
    assert line.count(b"\n") == 1
    assert decode(line) == {"progress": "a\nb"}
