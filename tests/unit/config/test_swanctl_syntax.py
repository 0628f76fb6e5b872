"""The syntax of swanctl.conf: what it means, and that nothing but a ConfigurationError ever comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_texts import BENCHMARK, connection, only_problem, problems, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ironswan.config import load, swanctl
from ironswan.config.tree import Problems, Section
from ironswan.errors import ConfigurationError


def tree(text: str) -> Section:
    found = Problems()
    root = swanctl.parse(Path("x.conf"), text, found, lambda _: None)
    assert not found.found, found.found
    return root


def mistakes(text: str) -> list[tuple[int, str]]:
    found = Problems()
    swanctl.parse(Path("x.conf"), text, found, lambda _: None)
    return [(problem.line, problem.message) for problem in found.found]


def value(text: str) -> str:
    return tree(text).values["k"].text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k = plain words # comment", "plain words"),
        ("k=a", "a"),
        ("k = a\r\n", "a"),
        ("k = a  b", "a  b"),
        ('k = " a # b } "', " a # b } "),
        (r'k = "a\n\t\"\\"', 'a\n\t"\\'),
        ('k = "two\nlines"', "two\nlines"),
        ("k = a:b=c", "a:b=c"),
        ("k = 1\nk = 2", "2"),
        ("# k = 1\n  k = 2", "2"),
    ],
)
def test_value_runs_to_newline_comment_or_brace(text: str, expected: str) -> None:
    assert value(text) == expected


def test_sections_nest_and_merge() -> None:
    root = tree("a { b { k = 1 } }\na\n{\n b { l = 2\n k = 3 } }")
    assert {name: v.text for name, v in root.sections["a"].sections["b"].values.items()} == {"k": "3", "l": "2"}


def test_value_knows_its_line() -> None:
    root = tree("# one\na {\n  b {\n    k = 1 } }")
    assert root.sections["a"].sections["b"].values["k"].place.line == 4


def test_quoted_section_name() -> None:
    assert "my peer" in tree('"my peer" { k = 1 }').sections


def test_section_inherits_what_it_does_not_say() -> None:
    root = tree("base { k = 1\n l = 1\n s { m = 1 } }\nx { y : base { l = 2 } }\nz : x.y, base { }")
    for section in (root.sections["x"].sections["y"], root.sections["z"]):
        assert {name: v.text for name, v in section.values.items()} == {"k": "1", "l": "2"}
        assert section.sections["s"].values["m"].text == "1"


def test_base_may_stand_below() -> None:
    assert tree("x : y { }\ny : z { }\nz { k = 1 }").sections["x"].values["k"].text == "1"


def test_empty_value_unsets_even_what_is_inherited() -> None:
    root = tree("base { k = 1 }\nx : base { k =\n }\ny { k = 1\n k = }")
    assert not root.sections["x"].values
    assert not root.sections["y"].values


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a {\n b = 1\n", 1, "not closed"),
        ("a = 1\n}", 2, "no section to close"),
        ('\nk = "abc', 2, "quotation is not closed"),
        ("word\n", 1, "neither a value nor a section"),
        ("\n= 3", 2, "a name was expected"),
        ("a : b { }", 1, "no such section"),
        ("a : a { }", 1, "inherits from itself"),
        ("a { b : a { } }", 1, "inherits from itself"),
        ("a : a.b { b { k = 1 } }", 1, "inherits from itself"),
        ("a : b { }\nb : a { }", 2, "inherits from itself"),
        ("include", 1, "names no file"),
        ("a {" * 40, 1, "nested more than"),
    ],
)
def test_mistake_is_named_with_its_line(text: str, line: int, words: str) -> None:
    assert any(found == line and words in message for found, message in mistakes(text)), mistakes(text)


def test_a_chain_of_many_bases_is_an_error_not_a_crash() -> None:
    chain = "".join(f"s{n} : s{n + 1} {{ }}\n" for n in range(3000)) + "s3000 { }"
    assert any("inherited over more than" in message for _, message in mistakes(chain))


def test_included_files_are_read_in_place_and_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    write(tmp_path / "conf.d", "local_ts = 10.1.0.0/16", "child.conf")
    write(tmp_path / "conf.d", 'secrets { ike-x { secret = "abc" } }', "zz.secret")
    text = connection(child="include conf.d/*.conf", rest="include conf.d/zz.secret")
    configuration = load(write(tmp_path, text))
    assert str(configuration.connections[0].children[0].local_ts[0].start) == "10.1.0.0"
    assert configuration.secrets[0].secret == b"abc"


def test_problem_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    other = write(tmp_path, "\nmode = tunel", "child.inc")
    problem = only_problem(write(tmp_path, connection(child="include child.inc")))
    assert (problem.file, problem.line, problem.key) == (str(other), 2, "connections.a.children.c.mode")


def test_include_of_itself_or_of_nothing_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "include a.conf", "b.conf")
    found = problems(
        write(tmp_path, "include b.conf\ninclude b.conf\ninclude missing.conf\ninclude none/*.conf", "a.conf")
    )
    words = [problem.message for problem in found]
    assert any("includes itself" in message for message in words)
    assert "there is no such file" in words
    assert len(words) == 2


@pytest.mark.parametrize("line", ["start_action trap", "start_action", "start_action # = trap", 'mode "tunnel"'])
def test_forgotten_equals_sign_is_one_mistake(tmp_path: Path, line: str) -> None:
    problem = only_problem(write(tmp_path, connection(child=f"{line}\n local_ts = 10.1.0.0/16\n mode = tunnel")))
    assert problem.line == 5
    assert "neither a value nor a section" in problem.message


@pytest.mark.parametrize(
    "body",
    ["encap\nlocal {\n id = moon.example\n}", "remote_addrs 192.0.2.2\nversion = 2", "unique\n# no\nversion = 2"],
)
def test_forgotten_equals_sign_drops_no_other_line_and_misses_nothing(tmp_path: Path, body: str) -> None:
    text = connection(body, "start_action = start").replace("remote_addrs = 192.0.2.2\n", "\n")
    assert only_problem(write(tmp_path, text)).line == 3


def test_secret_without_its_equals_sign_is_not_called_missing_as_well(tmp_path: Path) -> None:
    assert only_problem(write(tmp_path, connection(rest="secrets { ike-x {\n secret hunter2\n } }"))).line == 9


def test_forgotten_equals_sign_before_a_brace_leaves_the_brace(tmp_path: Path) -> None:
    assert only_problem(write(tmp_path, connection("local { id moon.example }"))).line == 3


def test_quotation_that_is_not_closed_is_the_only_mistake(tmp_path: Path) -> None:
    problem = only_problem(write(tmp_path, connection('local { id = "moon.example }')))
    assert (problem.line, problem.message) == (3, "the quotation is not closed")


def test_quotation_that_ends_where_another_begins_is_named_as_well(tmp_path: Path) -> None:
    text = connection('local { id = "moon.example }', rest='secrets { ike-x { secret = "abc" } }')
    problem = only_problem(write(tmp_path, text))
    assert (problem.line, problem.message) == (8, "the quotation is not closed; or that in line 3 was to end there")


WORDS = (
    *(
        "connections",
        "secrets",
        "settings",
        "a",
        "b",
        "ike-x",
        "secret",
        "id",
        "local",
        "remote",
        "children",
        "local_ts",
    ),
    *("include", "proposals", "rekey_time", "1h", "0x", "0s", "10.0.0.0/8", "a-b"),
)
pieces = st.sampled_from([*WORDS, *'{}=:,#"\\ \n\0é*'])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=120), st.lists(pieces, max_size=40).map("".join)))
@example("a { b : a { } }")
@example("a { b : a.c { }\n c : a.b { } }")
@example("secrets { ike { secret = 0x0 } }")
@example("include \0")
def test_any_text_is_a_configuration_or_a_configuration_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fuzz.conf"
    path.write_text(text, "utf-8", "surrogatepass")
    path.chmod(0o600)
    try:
        load(path)
    except ConfigurationError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.message for problem in error.problems)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.data())
def test_damaged_configuration_is_one_or_an_error(tmp_path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(BENCHMARK)))
    end = data.draw(st.integers(start, min(len(BENCHMARK), start + 30)))
    text = BENCHMARK[:start] + data.draw(pieces) + BENCHMARK[end:]
    try:
        load(write(tmp_path, text, "fuzz.conf"))
    except ConfigurationError as error:
        assert error.problems
