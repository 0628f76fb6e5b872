"""TOML with the keys of swanctl.conf: the same values, and problems with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_texts import BENCHMARK, only_problem, problems, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ironswan.config import load
from ironswan.errors import ConfigurationError

TOML = """\
[connections.t]
version = 2
local_addrs = ["10.77.0.1"]
remote_addrs = "10.77.0.2"
encap = true
proposals = ["aes128gcm16-prfsha256-x25519"]
local = { auth = "psk", id = "a.bench" }
remote.id = "b.bench"

[connections.t.children."c"]
local_ts = "10.101.0.1/32"
remote_ts = "10.102.0.1/32"
esp_proposals = "aes128gcm16"
mode = 'tunnel'

[secrets.ike-bench]
id-1 = "a.bench"
id-2 = "b.bench"
secret = "bench only"
"""


def test_both_syntaxes_give_the_same_configuration(tmp_path: Path) -> None:
    assert load(write(tmp_path, TOML, "site.toml")) == load(write(tmp_path, BENCHMARK))


def test_numbers_are_read_as_they_are_written(tmp_path: Path) -> None:
    text = TOML + "\n[settings]\nretransmit_timeout = 2.5\nkeep_alive = 10\nretransmit_tries = 3\n"
    configured = load(write(tmp_path, text, "site.toml")).settings
    assert (configured.retransmit_timeout, configured.keep_alive, configured.retransmit_tries) == (2.5, 10.0, 3)


@pytest.mark.parametrize(
    ("old", "new", "line", "key"),
    [
        ("encap = true", 'encap = "perhaps"', 5, "connections.t.encap"),
        ("mode = 'tunnel'", "mode = 'tunel'", 14, "connections.t.children.c.mode"),
        ('auth = "psk"', 'auth = "pks"', 7, "connections.t.local.auth"),
        ('remote.id = "b.bench"', 'remote.idd = "b.bench"', 8, "connections.t.remote.idd"),
        ("encap = true", "encap = 1979-05-27", 5, "encap"),
        ("encap = true", "encap = [[1]]", 5, "encap"),
    ],
)
def test_problem_has_the_line_of_its_key(tmp_path: Path, old: str, new: str, line: int, key: str) -> None:
    problem = only_problem(write(tmp_path, TOML.replace(old, new), "site.toml"))
    assert (problem.line, problem.key) == (line, key)


def test_syntax_error_has_its_line(tmp_path: Path) -> None:
    assert problems(write(tmp_path, TOML.replace("version = 2", "version = = 2"), "site.toml"))[0].line == 2


@pytest.mark.parametrize("secret", ["0xdeadbeef", "1234", "true", '["a", "b"]', "1979-05-27"])
def test_secret_without_quotes_is_refused(tmp_path: Path, secret: str) -> None:
    problem = only_problem(write(tmp_path, TOML.replace('"bench only"', secret), "site.toml"))
    assert (problem.line, problem.key) == (19, "secrets.ike-bench.secret")
    assert "write it in quotes" in problem.message
    assert secret not in str(problem)


def test_header_of_an_inner_table_is_the_line_of_an_unknown_outer_one(tmp_path: Path) -> None:
    text = TOML.replace("[secrets.ike-bench]", "[secret.ike-bench]")
    assert problems(write(tmp_path, text, "site.toml"))[-1].line == 16


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=100), st.lists(st.sampled_from(
    ["[", "]", "connections", ".", "a", "=", '"', "'", "1", "true", "{", "}", ",", "\n", "secrets", "#", "1e999", "nan"]
), max_size=40).map("".join)))  # fmt: skip
@example("a = " + "[" * 5000)
@example("a = " + "9" * 5000)
@example("a." * 3000 + "b = 1")
@example("[settings]\nretransmit_timeout = nan")
def test_any_text_is_a_configuration_or_a_configuration_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fuzz.toml"
    path.write_text(text, "utf-8", "surrogatepass")
    try:
        load(path)
    except ConfigurationError as error:
        assert error.problems
