"""No error shows a secret, wherever it was written and however the quotation marks and braces around it went wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from config_texts import BENCHMARK, SECRETS, connection, only_problem, problems, write

from ironswan.config import load, swanctl
from ironswan.config.build import build
from ironswan.config.tree import Problems
from ironswan.errors import ConfigurationError
from ironswan.policy.identity import Identity

HIDDEN = "hunter"
IN_SECRETS = [
    "secret = 0xhunter2",
    "scret = hunter2",
    "secret = x\n secret2 = hunter2",
    "id = moon secret = hunter2",
    "hunter2 = x",
    "hunter2 { }",
    'secret = x\n "hunter2"',
    "secret = abc}hunter2",
    "secret = p}}hunter2-of-secret",
    "secret = p}}hunter2 = x",
    "secret = p}}hunter2 {",
    "secret = p}}hunter2 : hunter3 { }",
    "secret = p}hunter2 { }",
    "secret = p}hunter2 = x",
    "secret = p#x\n }}\n hunter2",
    "secret hunter2",
]
ELSEWHERE = [
    'auth = psk\n secret = "hunter2"',
    'auth = psk secret = "hunter2"',
    "psk = hunter2",
    "id = moon psk = hunter2",
    "id = keyid:moon psk = hunter2",
    "secret hunter2",
    'secret\n "hunter2"',
]
OPEN_QUOTATION = 'secrets {{ ike-x {{\n id = "x"\n secret = {}\n }} }}\n'


def told(path: Path) -> str:
    """What is wrong with a file, as people and as programs see it."""
    found = problems(path)
    return "\n".join([*map(str, found), json.dumps([asdict(problem) for problem in found])])


@pytest.mark.parametrize("line", IN_SECRETS)
def test_nothing_that_stands_in_secrets_is_shown(tmp_path: Path, line: str) -> None:
    assert HIDDEN not in told(write(tmp_path, connection(rest=f"secrets {{ ike-x {{\n {line}\n }} }}")))


@pytest.mark.parametrize("side", ["local", "remote"])
@pytest.mark.parametrize("line", ELSEWHERE)
def test_secret_in_the_wrong_section_is_not_shown(tmp_path: Path, side: str, line: str) -> None:
    assert HIDDEN not in told(write(tmp_path, connection(f"{side} {{\n {line}\n }}")))


@pytest.mark.parametrize("key", ["secret", "psk"])
def test_secret_in_the_wrong_section_is_told_where_it_belongs(tmp_path: Path, key: str) -> None:
    problem = only_problem(write(tmp_path, connection(f"local {{\n {key} = {HIDDEN}\n }}")))
    assert (problem.key, problem.value) == (f"connections.a.local.{key}", "")
    assert "secrets { ike-… { id = … secret = … } }" in problem.message


def test_secret_in_the_wrong_section_of_toml_is_not_shown(tmp_path: Path) -> None:
    text = f'[connections.a]\nlocal.secret = "{HIDDEN}"\nremote = {{ psk = "{HIDDEN}" }}\n'
    found = told(write(tmp_path, text, "x.toml"))
    assert HIDDEN not in found
    assert "a section of its own" in found


@pytest.mark.parametrize("secret", [HIDDEN, f'"{HIDDEN}"', f'"{HIDDEN}\n{HIDDEN}"', f"0x{HIDDEN}"])
@pytest.mark.parametrize(
    "line",
    ['local { id = "moon }', 'local { id = moon" }', 'remote_addrs = "192.0.2.2', 'remote_addrs = 192.0.2.2"',
     'proposals = "default', 'foo = "', '"local { }', 'x" { }', 'include "x', 'include x"', 'vips = "', 'version = "1',
     'local { id = "keyid:moon }', 'a : b" { }', 'encap "yes'],
)  # fmt: skip
def test_quotation_mark_too_few_or_too_many_shows_nothing_of_what_follows(
    tmp_path: Path, line: str, secret: str
) -> None:
    text = connection(line, rest=OPEN_QUOTATION.format(secret))
    for rest in ("", 'settings { port = "501" }', "x {\n"):
        assert HIDDEN not in told(write(tmp_path, text + rest))


def test_value_over_several_lines_is_shown_up_to_the_first(tmp_path: Path) -> None:
    problem = only_problem(write(tmp_path, connection(f'unique = "keep\n{HIDDEN}"')))
    assert problem.value == "keep…"
    assert "is a quotation mark missing?" in problem.message


def test_setting_behind_another_is_told_and_not_shown(tmp_path: Path) -> None:
    problem = only_problem(write(tmp_path, connection(f"remote {{ auth = psk id = {HIDDEN} }}")))
    assert problem.value == "psk…"
    assert "on a line of its own" in problem.message


def test_mistakes_behind_the_secrets_are_told_with_their_values(tmp_path: Path) -> None:
    problem = only_problem(write(tmp_path, SECRETS + connection("unique = perhaps", rest="")))
    assert (problem.key, problem.value) == ("connections.a.unique", "perhaps")


def test_name_behind_the_secrets_is_shown_when_it_is_almost_a_known_one(tmp_path: Path) -> None:
    assert only_problem(write(tmp_path, SECRETS + "conections { }")).key == "conections"
    assert only_problem(write(tmp_path, SECRETS + "w0rd { }")).key == "***"


@pytest.mark.parametrize(
    "text",
    [f"CN={HIDDEN}", f"asn1gn:{HIDDEN}", f"10.0.0.0/{HIDDEN}", f"ipv4:{HIDDEN}", f"ipv6:{HIDDEN}", f"keyid:#{HIDDEN}",
     f"fqdn:^{HIDDEN}", f"moon {HIDDEN}", f"moon\n{HIDDEN}", f"keyid:\n{HIDDEN}"],
)  # fmt: skip
def test_errors_of_identities_do_not_repeat_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+") as caught:
        Identity.parse(text)
    assert HIDDEN not in str(caught.value)


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    assert "bench only" not in repr(load(write(tmp_path, BENCHMARK)))


def test_the_whole_error_shows_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(write(tmp_path, connection(f"local {{\n secret = {HIDDEN}\n }}")))
    assert HIDDEN not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("secret", [HIDDEN, f'"two\n{HIDDEN}"'])
@pytest.mark.parametrize("mark", ["", '"', "}"])
def test_no_damage_to_a_file_makes_it_show_a_secret(secret: str, mark: str) -> None:
    """Each octet of a configuration taken out, and each of some marks put in anywhere."""
    text = BENCHMARK.replace('"bench only"', secret)
    inside = range(text.index(HIDDEN) + 1, text.index(HIDDEN) + len(HIDDEN))
    for at in range(len(text)):
        if at not in inside:
            found = Problems()
            damaged = text[:at] + mark + text[at if mark else at + 1 :]
            build(swanctl.parse(Path("x.conf"), damaged, found, lambda _: None), found)
            assert HIDDEN not in "\n".join(map(str, found.found)), damaged
