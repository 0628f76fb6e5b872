"""Keys as TOML, and what both formats share."""

from __future__ import annotations

from pathlib import Path

import pytest
from key_samples import KEY_16, KEY_20, KEY_32, SECRET, line, loaded, refused, table

from ironswan.errors import ConfigurationError
from ironswan.pcap.keys import REPLAY_WINDOW, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_sa_with_what_it_must_have(file: Path) -> None:
    (sa,) = loaded(file, table(src=None, dst=None))
    assert (sa.protocol, sa.suite, sa.keymat) == ("esp", "aes128gcm16", bytes.fromhex(KEY_20))
    assert (sa.mode, sa.esn, sa.replay_window, sa.sequence_number) == ("auto", False, REPLAY_WINDOW, 0)
    assert sa.source.matches(1, 4)
    assert sa.destination.matches(1, 16)


def test_sa_with_all_it_can_have(file: Path) -> None:
    (sa,) = loaded(
        file,
        table(
            mode="transport", esn=True, replay_window=64, sequence_number=1 << 33, src="2001:db8::/32", protocol="esp"
        ),
    )
    assert (sa.mode, sa.esn, sa.replay_window, sa.sequence_number) == ("transport", True, 64, 1 << 33)
    assert sa.source.matches(0x20010DB8 << 96, 16)
    assert not sa.source.matches(0x20010DB9 << 96, 16)


@pytest.mark.parametrize("spi", [0xC0000001, "0xc0000001", "0xC0000001"])
def test_spi_as_number_and_as_text(file: Path, spi: int | str) -> None:
    assert loaded(file, table(spi=spi))[0].spi.matches(0xC0000001)


def test_keys_in_parts_are_put_together(file: Path) -> None:
    (sa,) = loaded(file, table(suite="AES128-SHA256", keymat=None, encr_key=KEY_16, integ_key=f"0x{KEY_32}"))
    assert (sa.suite, sa.keymat) == ("aes128-sha256", bytes.fromhex(KEY_16 + KEY_32))
    (sa,) = loaded(file, table(suite="null-sha256", keymat=None, integ_key=KEY_32))
    assert sa.keymat == bytes.fromhex(KEY_32)


def test_ah(file: Path) -> None:
    (sa,) = loaded(file, table(protocol="ah", suite="sha256", keymat=KEY_32))
    assert (sa.protocol, sa.suite) == ("ah", "sha256")


def test_tables_written_inline(file: Path) -> None:
    assert len(loaded(file, f'sa = [{{ spi = 0x1000, suite = "aes128gcm16", keymat = "{KEY_20}" }}]\n')) == 1


@pytest.mark.parametrize(
    ("text", "key", "number", "words"),
    [
        (table(spi=None), "spi", 1, "is missing"),
        (table(suite=None), "suite", 1, "is missing"),
        (table(keymat=None), "keymat", 1, "either keymat, or encr_key"),
        (table(encr_key=KEY_16), "keymat", 4, "beside"),
        (table(keymat=KEY_16), "keymat", 4, "has 16 octets (allowed: 20 octets: 16 of encryption key, 4 of salt)"),
        (table(keymat=KEY_20 + "g"), "keymat", 4, "not hexadecimal"),
        (table(keymat=12), "keymat", 4, "not a text"),
        (table(suite="aes128gmc16"), "suite", 3, "aes128gcm16"),
        (table(suite="sha256"), "suite", 3, "no suite of esp"),
        (table(protocol="ah"), "suite", 3, "no suite of ah"),
        (table(protocol="udp"), "protocol", 7, "esp, ah"),
        (table(mode="beet"), "mode", 7, "auto, tunnel, transport"),
        (table(esn="yes"), "esn", 7, "true, false"),
        (table(spi=-1), "spi", 2, "0x"),
        (table(spi=0), "spi", 2, "zero"),
        (table(spi=True), "spi", 2, "0x"),
        (table(src="host"), "src", 5, "prefix"),
        (table(replay_window=0), "replay_window", 7, "1..65536"),
        (table(sequence_number=1 << 64), "sequence_number", 7, "out of range"),
        (table(sip="*"), "sip", 7, "spi"),
        (table(sequence_number=1 << 33), "sa", 3, "esn"),
        ("\n[sad]\nspi = 1\n" + table(), "sad", 2, "[[sa]]"),
        ('\nsa = "x"\n', "sa", 2, "list of tables"),
        ("[[sa]]\nspi = = 1\n", "TOML", 2, "line 2"),
        ("[[sa]]\nspi = ", "TOML", 2, ""),
    ],
)
def test_wrong_key_is_told_with_what_to_write_instead(file: Path, text: str, key: str, number: int, words: str) -> None:
    problems = refused(file, text)
    assert (str(file), number, key) in [(problem.file, problem.line, problem.key) for problem in problems]
    assert words in "\n".join(map(str, problems))


def test_every_mistake_is_told_at_once(file: Path) -> None:
    problems = refused(file, table(spi="x", mode="y") + table(spi=2) + table(spi=3, keymat="zz"))
    assert [(problem.line, problem.key) for problem in problems] == [(2, "spi"), (7, "mode"), (17, "keymat")]


def test_no_key_is_shown_where_keys_are_mixed_up(file: Path) -> None:
    for name in ("spi", "suite", "src", "dst", "mode", "protocol", "esn", "replay_window"):
        assert refused(file, table(**{name: KEY_32}))
    assert SECRET not in repr(loaded(file, table()))


@pytest.mark.parametrize("text", ["", "# nothing\n", "sa = []\n"])
def test_file_without_sas_is_refused(file: Path, text: str) -> None:
    (problem,) = refused(file, text)
    assert "names no SA" in str(problem)


def test_file_that_is_no_text_or_cannot_be_read_is_refused(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(file)
    file.write_bytes(b"[[sa]]\n\xff\n")
    with pytest.raises(ConfigurationError, match=":2: .*is not UTF-8"):
        load(file)


def test_content_says_which_format_it_is(file: Path) -> None:
    assert loaded(file, "\ufeff# keys\n" + line()) != loaded(file, "# keys\n" + table())
    assert loaded(file, line())[0].keymat == loaded(file, table())[0].keymat
