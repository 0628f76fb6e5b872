"""Numbers on the command line: a wrong one is told in words, not by the name of a function."""

from __future__ import annotations

import pytest

from ironswan.cli.main import main
from ironswan.control.protocol import ExitCode

WHOLE, NUMBER = "must be a whole number from", "must be a number from"
DECRYPT = ["pcap", "decrypt", "x", "--keys", "k", "-o", "o"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["up", "c", "--timeout", "abc"], f"argument --timeout: {NUMBER} 0.001 to 3600"),
        (["up", "c", "--timeout", "nan"], f"argument --timeout: {NUMBER} 0.001 to 3600"),
        (["demo", "--seconds", "0"], f"argument --seconds: {NUMBER} 0.5 to 3600"),
        ([*DECRYPT, "--port", "x"], f"argument --port: {WHOLE} 1 to 65535"),
        (["bench", "esp", "--batch", "1.5"], f"argument --batch: {WHOLE} 1 to 4096"),
        (["bench", "esp", "--threads", "0"], f"argument --threads: {WHOLE} 1 to 256"),
        (["bench", "scale", "--rounds", "0"], f"argument --rounds: {WHOLE} 1 to 99"),
        (["bench", "scale", "--sas", "1,x"], f"argument --sas: each {WHOLE} 1 to 1048576"),
        (["bench", "scale", "--seconds", "x"], f"argument --seconds: {NUMBER} 0.05 to 3600"),
        (["bench", "scale", "--in-a-row", "0"], f"argument --in-a-row: {WHOLE} 1 to 1048576"),
        (["bench", "tunnel", "--mtu", "x"], f"argument --mtu: {WHOLE} 1360 to 65535"),
        (["bench", "tunnel", "--sizes", "64,0"], f"argument --sizes: each {WHOLE} 1 to 65507"),
        (["bench", "tunnel", "--rounds", ""], f"argument --rounds: {WHOLE} 1 to 3600"),
        (["bench", "flood", "--rate", "-1"], f"argument --rate: {WHOLE} 1 to 10000000"),
        (["run", "x", "--interface", "tun%d"], "argument --interface: no interface can have this name"),
    ],
)
def test_wrong_number_is_told_in_words(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == ExitCode.USAGE
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"error: {told}")
