"""Wireshark's table of SAs: its names, its wildcards, and what is said of a wrong line."""

from __future__ import annotations

from pathlib import Path

import pytest
from key_samples import KEY_16, KEY_32, SECRET, line, loaded, refused

HMAC_SHA256 = "HMAC-SHA-256-128 [RFC4868]"
ANY_128 = "ANY 128 bit authentication [no checking]"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "esp_sa"


@pytest.mark.parametrize(
    ("encryption", "octets", "suite"),
    [
        ("AES-GCM with 8 octet ICV [RFC4106]", 20, "aes128gcm8"),
        ("AES-GCM with 12 octet ICV [RFC4106]", 28, "aes192gcm12"),
        ("AES-GCM with 16 octet ICV [RFC4106]", 36, "aes256gcm16"),
        ("AES-GCM with IIV and 16 octet ICV [RFC4106 & RFC8750]", 20, "aes128gcm16iiv"),
        ("ChaCha20 with Poly1305 [RFC7634]", 36, "chacha20poly1305"),
        ("ChaCha20 with Poly1305 and IIV [RFC7634 & RFC8750]", 36, "chacha20poly1305iiv"),
    ],
)
def test_combined_mode_algorithms(file: Path, encryption: str, octets: int, suite: str) -> None:
    (sa,) = loaded(file, line(encryption=encryption, key="0x" + "5a" * octets))
    assert (sa.suite, sa.keymat) == (suite, b"\x5a" * octets)


@pytest.mark.parametrize(
    ("encryption", "octets", "keyword"),
    [
        ("NULL", 0, "null"),
        ("TripleDES-CBC [RFC2451]", 24, "3des"),
        ("AES-CBC [RFC3602]", 16, "aes128"),
        ("AES-CBC [RFC3602]", 24, "aes192"),
        ("AES-CBC [RFC3602]", 32, "aes256"),
        ("AES-CTR [RFC3686]", 20, "aes128ctr"),
        ("AES-CTR [RFC3686]", 28, "aes192ctr"),
        ("AES-CTR [RFC3686]", 36, "aes256ctr"),
    ],
)
@pytest.mark.parametrize(
    ("integrity", "integrity_octets", "word"),
    [
        ("HMAC-SHA-1-96 [RFC2404]", 20, "sha1"),
        ("HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]", 32, "sha256_96"),
        (HMAC_SHA256, 32, "sha256"),
        ("HMAC-SHA-384-192 [RFC4868]", 48, "sha384"),
        ("HMAC-SHA-512-256 [RFC4868]", 64, "sha512"),
    ],
)
def test_encryption_with_integrity(
    file: Path, encryption: str, octets: int, keyword: str, integrity: str, integrity_octets: int, word: str
) -> None:
    encr_key, integ_key = "ab" * octets, "cd" * integrity_octets
    key = f"0x{encr_key}" if octets else ""
    (sa,) = loaded(file, line(encryption=encryption, key=key, integrity=integrity, integrity_key=f"0x{integ_key}"))
    assert sa.suite == f"{keyword}-{word}"
    assert sa.keymat == bytes.fromhex(encr_key + integ_key)


@pytest.mark.parametrize(("bits", "octets"), [(64, 8), (96, 12), (128, 16)])
def test_older_name_of_gcm_takes_its_icv_from_the_integrity_column(file: Path, bits: int, octets: int) -> None:
    integrity = f"ANY {bits} bit authentication [no checking]"
    (sa,) = loaded(file, line(encryption="AES-GCM [RFC4106]", integrity=integrity))
    assert sa.suite == f"aes128gcm{octets}"


def test_older_name_of_gcm_without_an_icv_is_refused(file: Path) -> None:
    (problem,) = refused(file, line(encryption="AES-GCM [RFC4106]"))
    assert "AES-GCM with 16 octet ICV [RFC4106]" in problem.allowed


def test_addresses_and_spi(file: Path) -> None:
    four, six = loaded(file, line() + line(family="IPv6", source="2001:db8::1", destination="2001:DB8:0::2"))
    assert four.spi.matches(0xC0000001)
    assert not four.spi.matches(0xC0000002)
    assert four.source.matches(0xC0000201, 4)
    assert not four.source.matches(0xC0000202, 4)
    assert not four.source.matches(0xC0000201, 16)
    assert six.destination.matches(0x20010DB8 << 96 | 2, 16)


def test_wildcards(file: Path) -> None:
    (sa,) = loaded(file, line(source="*", destination="192.*.2.*", spi="*"))
    assert sa.spi.matches(1)
    assert sa.source.matches(0x01020304, 4)
    assert not sa.source.matches(1, 16)
    assert sa.destination.matches(0xC0FF02FF, 4)
    assert not sa.destination.matches(0xC0FF03FF, 4)


def test_prefixes_and_digits_of_an_spi(file: Path) -> None:
    (sa,) = loaded(file, line(source="192.0.2.77/24", spi="0xc00000**"))
    assert sa.source.matches(0xC0000201, 4)
    assert not sa.source.matches(0xC0000301, 4)
    assert sa.spi.matches(0xC00000FF)
    assert not sa.spi.matches(0xC00001FF)


def test_short_spi_has_leading_zeros(file: Path) -> None:
    assert loaded(file, line(spi="0x123"))[0].spi.matches(0x123)


def test_exact_sas_come_before_wildcards(file: Path) -> None:
    texts = [line(spi="*", source="*", destination="*"), line(source="*", destination="*"), line(source="*"), line()]
    weights = [(sa.spi.mask, sa.source.mask, sa.destination.mask) for sa in loaded(file, "".join(texts))]
    assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize(
    ("more", "esn", "sequence_number"),
    [
        ((), False, 0),
        (("32-bit",), False, 0),
        (("64-bit",), True, 0),
        (("64-bit", "0"), True, 0),
        (("64-bit", "0x1f"), True, 0x1F << 32),
        (("32-bit", "5"), False, 0),
    ],
)
def test_sequence_number_columns_of_newer_versions(
    file: Path, more: tuple[str, ...], esn: bool, sequence_number: int
) -> None:
    (sa,) = loaded(file, line(more=more))
    assert (sa.esn, sa.sequence_number) == (esn, sequence_number)


def test_key_of_characters_and_of_an_odd_number_of_digits(file: Path) -> None:
    characters = line(encryption="AES-CBC [RFC3602]", key="sixteen letters!", integrity=HMAC_SHA256,
                      integrity_key="0x" + "1" * 63)  # fmt: skip
    (sa,) = loaded(file, characters)
    assert sa.keymat == b"sixteen letters!\x01" + b"\x11" * 31


def test_comments_and_empty_lines_are_passed_over(file: Path) -> None:
    text = "# This file is automatically generated, DO NOT MODIFY.\n\n" + line().replace('","', '", "')
    assert len(loaded(file, text)) == 1


def test_repeated_line_counts_once(file: Path) -> None:
    assert len(loaded(file, line() * 3)) == 1


def test_two_keys_for_one_sa_are_refused(file: Path) -> None:
    (problem,) = refused(file, line() + line(key="0x" + "11" * 20))
    assert (problem.line, problem.key) == (2, "sa")
    assert "line 1" in problem.message


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (line(family="IPv5"), "protocol", "IPv4, IPv6"),
        (line(source="192.0.2.256"), "source", "prefix"),
        (line(destination="2001:db8::1"), "destination", "no address of IPv4"),
        (line(spi="12345"), "SPI", "0x"),
        (line(spi="0x0"), "SPI", "0x1 on"),
        (line(spi="0x123456789"), "SPI", "0x"),
        (line(encryption="AES-GCM with 16 octets ICV [RFC4106]"), "encryption", "AES-GCM with 16 octet ICV [RFC4106]"),
        (line(encryption="DES-CBC [RFC2405]"), "encryption", "not supported"),
        (line(key=f"0x{KEY_16}"), "encryption key", "has 16 octets (allowed: 20, 28, 36 octets"),
        (line(key=f"0x{KEY_16}g"), "encryption key", "not hexadecimal"),
        (line(integrity=HMAC_SHA256), "integrity", "does not go with"),
        (line(encryption="AES-CBC [RFC3602]", key=f"0x{KEY_16}"), "integrity", "forged"),
        (line(encryption="AES-CBC [RFC3602]", key=f"0x{KEY_16}", integrity=ANY_128), "integrity", "forged"),
        (
            line(encryption="AES-CBC [RFC3602]", key=f"0x{KEY_16}", integrity=HMAC_SHA256, integrity_key=f"0x{KEY_16}"),
            "integrity key",
            "has 16 octets (allowed: 32 octets",
        ),
        (
            line(encryption="AES-CBC [RFC3602]", key=f"0x{KEY_32}", integrity="HMAC-MD5-96 [RFC2403]"),
            "integrity",
            "not supported",
        ),
        (line(more=("48-bit",)), "sequence number length", "32-bit, 64-bit"),
        (line(more=("64-bit", "x")), "upper half of the sequence number", "hexadecimal"),
        (line(more=("64-bit", "0", "1")), "sa", "11 columns"),
        ('"IPv4","*","*"\n', "sa", "3 columns"),
        ('"IPv4","192.0.2.1\n', "sa", "columns"),
    ],
)
def test_wrong_line_is_told_with_what_to_write_instead(file: Path, text: str, key: str, words: str) -> None:
    problems = refused(file, "# comment\n" + text)
    assert [(problem.file, problem.line, problem.key) for problem in problems] == [(str(file), 2, key)]
    assert words in str(problems[0])


def test_every_mistake_is_told_at_once(file: Path) -> None:
    problems = refused(file, line(spi="x", source="y") + line(spi="0x2") + line(spi="0x3", key="0xzz"))
    assert [(problem.line, problem.key) for problem in problems] == [(1, "SPI"), (1, "source"), (3, "encryption key")]


def test_no_key_is_shown_where_columns_are_mixed_up(file: Path) -> None:
    for column in ("family", "source", "destination", "spi", "encryption", "integrity"):
        for key in (KEY_32, f"0x{KEY_32}"):
            assert refused(file, line(**{column: key}))
    assert refused(file, line(more=(KEY_32, KEY_32)))
    assert SECRET not in repr(loaded(file, line()))
