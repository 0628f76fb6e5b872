"""`ironswan pcap decrypt`: what it takes, writes and prints, its exit codes, and its memory."""

from __future__ import annotations

import json
import re
import struct
import tracemalloc
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw

from ironswan.cli.main import main
from ironswan.control.protocol import ExitCode
from ironswan.pcap import ip_packets

KEY = "0123456789abcdef" * 2 + "00112233"
KEYS = f'[[sa]]\nspi = "0xc0000001"\nsuite = "aes128gcm16"\nkeymat = "{KEY}"\n'
INNER = bytes(IP(src="10.1.0.1", dst="10.2.0.1") / ICMP() / Raw(b"ping" * 10))
OUTER = IP(src="192.0.2.1", dst="192.0.2.2")
MIB = 1 << 20


def sender() -> SecurityAssociation:
    return SecurityAssociation(
        ESP, 0xC0000001, crypt_algo="AES-GCM", crypt_key=bytes.fromhex(KEY), tunnel_header=OUTER.copy()
    )


def protected(count: int) -> list[bytes]:
    association = sender()
    return [
        bytes(association.encrypt(IP(INNER), seq_num=number, iv=number.to_bytes(8))) for number in range(1, count + 1)
    ]


def pcap(packets: list[bytes]) -> bytes:
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for number, packet in enumerate(packets):
        parts += struct.pack("<IIII", number, 0, len(packet), len(packet)), packet
    return b"".join(parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").write_text(KEYS)
    (tmp_path / "in.pcap").write_bytes(pcap(protected(3)))
    return tmp_path


def decrypt(folder: Path, *more: str, out: str = "out.pcap") -> int:
    return main(["pcap", "decrypt", f"{folder}/in.pcap", "--keys", f"{folder}/keys", "-o", f"{folder}/{out}", *more])


@pytest.mark.parametrize("out", ["out.pcap", "out.pcapng"])
def test_packets_inside_are_written_and_counted(folder: Path, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert decrypt(folder, out=out) == ExitCode.OK
    assert [*ip_packets(folder / out)] == [INNER] * 3
    told = capsys.readouterr()
    assert "0xc0000001  192.0.2.1  192.0.2.2    aes128gcm16  3        3" in told.out
    assert told.err == ""


def test_json_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decrypt(folder, "--json") == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["ok"], document["damage"]) == (1, True, "")
    assert document["sas"][0]["decrypted"] == document["totals"]["decrypted"] == 3
    assert KEY[:16] not in json.dumps(document)


@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_decrypted_is_a_failure_with_the_spis_of_the_capture(
    folder: Path, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "keys").write_text(KEYS.replace("0xc0000001", "0xc0000009"))
    assert decrypt(folder, *["--json"] * as_json) == ExitCode.FAILED
    told = capsys.readouterr()
    assert "nothing was decrypted" in told.err
    assert "0xc0000001  192.0.2.1  192.0.2.2    esp       3" in told.err
    assert not as_json or json.loads(told.out)["ok"] is False


def test_every_error_of_the_keys_is_told_and_nothing_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "keys").write_text(KEYS.replace("aes128gcm16", "aes128gmc16") + KEYS.replace(KEY, KEY[:-2]))
    assert decrypt(folder) == ExitCode.CONFIGURATION
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in told] == ["3", "8"]
    assert "aes128gcm16" in told[0]
    assert KEY[:16] not in "".join(told)
    assert not (folder / "out.pcap").exists()


def test_capture_that_ends_within_a_packet_is_decrypted_up_to_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (folder / "in.pcap").read_bytes()
    (folder / "in.pcap").write_bytes(content[:-1])
    assert decrypt(folder) == ExitCode.OK
    assert [*ip_packets(folder / "out.pcap")] == [INNER] * 2
    assert "ends within the packet" in capsys.readouterr().err


def test_files_that_cannot_be_used_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decrypt(folder, out="none/out.pcap") == ExitCode.FAILED
    assert f"{folder}/none/out.pcap: No such file" in capsys.readouterr().err
    (folder / "in.pcap").write_bytes(b"text")
    assert decrypt(folder) == ExitCode.FAILED
    assert "neither pcap nor pcapng" in capsys.readouterr().err
    (folder / "in.pcap").unlink()
    assert decrypt(folder) == ExitCode.FAILED
    assert f"{folder}/in.pcap: No such file" in capsys.readouterr().err
    assert not (folder / "out.pcap").exists()


def test_errors_of_the_keys_are_a_document_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "keys").write_text(KEYS.replace("aes128gcm16", "aes128gmc16"))
    assert decrypt(folder, "--json") == ExitCode.CONFIGURATION
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert (document["schema"], document["ok"], told.err) == (1, False, "")
    assert [problem["key"] for problem in document["problems"]] == ["suite"]


@pytest.mark.parametrize("out", ["in.pcap", "keys"])
def test_input_is_not_written_over(folder: Path, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / out).read_bytes()
    assert decrypt(folder, out=out) == ExitCode.FAILED
    assert "written over" in capsys.readouterr().err
    assert (folder / out).read_bytes() == before


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_port_out_of_range_is_wrong_usage(folder: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        decrypt(folder, "--port", port)
    assert ended.value.code == ExitCode.USAGE
    assert "--port" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["pcap"], ["pcap", "decrypt"]])
def test_every_command_has_a_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert f"usage: ironswan {' '.join(words)}" in capsys.readouterr().out


def test_progress_is_drawn_on_a_terminal_only(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironswan.cli.pcap._PROGRESS_EVERY", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert decrypt(folder) == ExitCode.OK
    told = capsys.readouterr().err
    assert re.search(r"\d+% [█░]{30} \d+ Mb/s", told)
    assert told.endswith("\r\x1b[K")


def test_memory_does_not_grow_with_the_capture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    association = sender()
    payload = IP(src="10.1.0.1", dst="10.2.0.1") / Raw(bytes(60_000))
    record = []
    for number in range(1, 5):
        packet = bytes(association.encrypt(payload.copy(), seq_num=number, iv=number.to_bytes(8)))
        record.append(struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet)
    # The same four packets again and again: replays are opened and counted like others.
    with (folder / "in.pcap").open("wb") as file:
        file.write(pcap([]))
        for _ in range(64 * MIB // len(b"".join(record))):
            file.write(b"".join(record))
    tracemalloc.start()
    try:
        assert decrypt(folder) == ExitCode.OK
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (folder / "in.pcap").stat().st_size > 60 * MIB
    assert peak < 8 * MIB
    assert "4 packets decrypted" in capsys.readouterr().out
