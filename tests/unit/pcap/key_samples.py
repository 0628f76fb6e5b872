"""Keys of the tests, and how they are written in either format."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironswan.errors import ConfigurationError, Problem
from ironswan.pcap.keys import SaKeys, load

SECRET = "0123456789abcdef"
KEY_16, KEY_20, KEY_32 = SECRET * 2, SECRET * 2 + "00112233", SECRET * 4


def line(
    *,
    family: str = "IPv4",
    source: str = "192.0.2.1",
    destination: str = "192.0.2.2",
    spi: str = "0xc0000001",
    encryption: str = "AES-GCM with 16 octet ICV [RFC4106]",
    key: str = f"0x{KEY_20}",
    integrity: str = "NULL",
    integrity_key: str = "",
    more: tuple[str, ...] = (),
) -> str:
    """A line of Wireshark's esp_sa."""
    columns = family, source, destination, spi, encryption, key, integrity, integrity_key, *more
    return ",".join(f'"{column}"' for column in columns) + "\n"


def table(**values: object) -> str:
    """One [[sa]] of TOML."""
    shown = {
        "spi": "0xc0000001", "suite": "aes128gcm16", "keymat": KEY_20, "src": "192.0.2.1", "dst": "192.0.2.2", **values
    }  # fmt: skip
    texts = {
        key: f'"{value}"' if isinstance(value, str) else str(value).lower()
        for key, value in shown.items()
        if value is not None
    }
    return "[[sa]]\n" + "".join(f"{key} = {text}\n" for key, text in texts.items())


def loaded(path: Path, text: str) -> tuple[SaKeys, ...]:
    """The SAs of a text."""
    path.write_text(text)
    return load(path)


def refused(path: Path, text: str) -> list[Problem]:
    """The problems of a text, none of which shows a key."""
    path.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        load(path)
    assert SECRET not in str(error.value)
    return list(error.value.problems)
