"""What is said afterwards: the table, the document, and the hint when nothing was decrypted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from esp_samples import HOST4, INNER4, OUTER4, decrypt, protect, sa
from key_samples import SECRET, table
from pcap_samples import written

from ironswan.pcap.report import document, hint, render
from ironswan.pcap.stream import CHUNK, Stream

WRONG = table(keymat="11" * 20)


def packets(count: int = 1, spi: int = 0xC0000001) -> list[bytes]:
    return protect(sa(tunnel=OUTER4, spi=spi), [INNER4] * count)


def test_table_has_a_line_for_each_sa_and_the_totals(tmp_path: Path) -> None:
    captured = packets(4)
    _, run = decrypt(tmp_path, [*captured[:3], captured[0], captured[3][:-1] + b"x", *packets(2, 0x2000)])
    text = render(document(run)).splitlines()
    assert text[0].split() == ["SPI", "source", "destination", "suite", "packets", "decrypted", "replays", "failures"]
    assert text[1].split("  ")[0] == "0xc0000001"
    for words in ("192.0.2.1", "192.0.2.2", "aes128gcm16", "5  ", "3  ", "1  ", "icv mismatch 1"):
        assert words in text[1]
    assert "7 frames: 7 ESP" in text[3]
    assert "3 packets decrypted" in text[3]
    assert text[4] == "not decrypted: replays 1, unmatched 2, icv mismatch 1"


def test_document_is_plain_json_without_keys(tmp_path: Path) -> None:
    _, run = decrypt(tmp_path, packets(2))
    text = json.dumps(document(run))
    assert SECRET not in text
    totals = json.loads(text)["totals"]
    assert (totals["decrypted"], totals["octets"]) == (2, 2 * len(bytes(INNER4)))


@pytest.mark.parametrize(
    ("captured", "keys", "words"),
    [
        (packets(2, 0x2000), table(), ["no SA of the keys file", "0x00002000", "192.0.2.1", "esp", "2"]),
        (packets(2), WRONG, ["the key or the suite of SA 0xc0000001 is wrong"]),
        (protect(sa(), [HOST4]), table(mode="tunnel"), ["leave mode out"]),
        ([packets()[0][:-1]], table(), ["tcpdump -s 0"]),
        ([packets()[0][:6] + b"\x20" + packets()[0][7:]], table(), ["1 packets are fragments"]),
        ([bytes(HOST4)], table(), ["no whole ESP or AH packet", "--port"]),
        ([], table(), ["no whole ESP or AH packet"]),
    ],
    ids=["unmatched", "wrong key", "other mode", "cut", "fragment", "no esp", "empty"],
)
def test_hint_says_why_nothing_was_decrypted(
    tmp_path: Path, captured: list[bytes], keys: str, words: list[str]
) -> None:
    _, run = decrypt(tmp_path, captured, keys)
    text = hint(document(run))
    for word in words:
        assert word in text


def test_hint_lists_the_most_frequent_spis_only(tmp_path: Path) -> None:
    captured = [packet for number in range(25) for packet in packets(1 + (number == 24), 0x2000 + number)]
    _, run = decrypt(tmp_path, captured)
    lines = hint(document(run)).splitlines()
    assert "0x00002018" in lines[2]
    assert lines[-1] == "  and 5 more"


def test_link_types_that_are_not_known_are_named(tmp_path: Path) -> None:
    _, run = decrypt(tmp_path, packets(2), link=147)
    assert "link type 147" in hint(document(run))
    assert "link type 147 not known 2" in render(document(run))


def test_stream_gives_whole_pieces_across_chunks(tmp_path: Path) -> None:
    content = bytes(range(256)) * (CHUNK // 64)
    with written(tmp_path / "f", content).open("rb", buffering=0) as file:
        stream = Stream(file, "f")
        taken = b""
        while stream.fill(1000):
            taken += stream.data[stream.at : stream.at + 1000]
            stream.at += 1000
        assert taken + stream.data[stream.at :] == content
        assert stream.position == len(taken)
