"""Wireshark's table of ESP SAs (`esp_sa` in its profile's folder), also written by strongSwan's save-keys plugin.

One SA a line, comma-separated in double quotes: family, source, destination, SPI, encryption algorithm, key, integrity
algorithm, key and, since Wireshark 4.2, the length of sequence numbers and the upper half of the first one.
"""

from __future__ import annotations

import csv
import re
from typing import TypeVar

from ironswan.config.tree import Place, Problems
from ironswan.pcap import suites
from ironswan.pcap.keys import ADDRESS, SPI, Pattern, SaKeys, address_pattern, constructible, spi_pattern

T = TypeVar("T")
_FAMILIES = {"IPv4": 4, "IPv6": 6}
_SEQUENCE_LENGTHS = {"32-bit": False, "64-bit": True}
_GCM = "AES-GCM [RFC4106]"
_AES_CBC, _AES_CTR = "AES-CBC [RFC3602]", "AES-CTR [RFC3686]"
_3DES, _NULL = "TripleDES-CBC [RFC2451]", "NULL"
# Keywords by the length of the key in octets, which includes the salt.
_ENCRYPTION: dict[str, dict[int, str]] = {
    _NULL: {0: "null"},
    _3DES: {24: "3des"},
    _AES_CBC: {16: "aes128", 24: "aes192", 32: "aes256"},
    _AES_CTR: {20: "aes128ctr", 28: "aes192ctr", 36: "aes256ctr"},
    "AES-GCM with 8 octet ICV [RFC4106]": {20: "aes128gcm8", 28: "aes192gcm8", 36: "aes256gcm8"},
    "AES-GCM with 12 octet ICV [RFC4106]": {20: "aes128gcm12", 28: "aes192gcm12", 36: "aes256gcm12"},
    "AES-GCM with 16 octet ICV [RFC4106]": {20: "aes128gcm16", 28: "aes192gcm16", 36: "aes256gcm16"},
    "AES-GCM with IIV and 16 octet ICV [RFC4106 & RFC8750]": {
        20: "aes128gcm16iiv", 28: "aes192gcm16iiv", 36: "aes256gcm16iiv",
    },
    "ChaCha20 with Poly1305 [RFC7634]": {36: "chacha20poly1305"},
    "ChaCha20 with Poly1305 and IIV [RFC7634 & RFC8750]": {36: "chacha20poly1305iiv"},
}  # fmt: skip
_COMBINED_ALONE = frozenset({_NULL, _3DES, _AES_CBC, _AES_CTR})
_ANY = re.compile(r"ANY (64|96|128|192|256) bit authentication \[no checking\]")
# The length of the ICV stands in the integrity column of this older name.
_GCM_BY_ICV = {"64": "8", "96": "12", "128": "16"}
_INTEGRITY: dict[str, tuple[str, int]] = {
    "HMAC-SHA-1-96 [RFC2404]": ("sha1", 20),
    "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]": ("sha256_96", 32),
    "HMAC-SHA-256-128 [RFC4868]": ("sha256", 32),
    "HMAC-SHA-384-192 [RFC4868]": ("sha384", 48),
    "HMAC-SHA-512-256 [RFC4868]": ("sha512", 64),
}
_UNSUPPORTED = frozenset({
    "DES-CBC [RFC2405]", "CAST5-CBC [RFC2144]", "BLOWFISH-CBC [RFC2451]", "TWOFISH-CBC", "HMAC-MD5-96 [RFC2403]",
    "MAC-RIPEMD-160-96 [RFC2857]",
})  # fmt: skip


def is_format(text: str) -> bool:
    """Whether this is such a table: its first line begins with a family and a comma."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    return re.match(r'\s*("[^"=]*"|IPv[46])\s*,', first) is not None


def parse(file: str, text: str, problems: Problems) -> list[SaKeys]:
    """The SAs of a table. Mistakes go to `problems`."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            sa = _Line(Place(file, number), problems).read(line)
            if sa is not None and constructible(sa, problems):
                found.append(sa)
    return found


class _Line:
    """One line; each column that is wrong is one problem."""

    def __init__(self, place: Place, problems: Problems) -> None:
        self._place = place
        self._problems = problems
        self._errors = 0

    def _wrong(self, column: str, message: str, value: str = "", allowed: str = "") -> None:
        self._errors += 1
        self._problems.add(self._place, column, message, value=suites.shown(value), allowed=allowed)

    def read(self, line: str) -> SaKeys | None:
        """The SA of a line, or None and problems."""
        try:
            columns = next(csv.reader([line], skipinitialspace=True, strict=True))
        except csv.Error:
            columns = []
        if not 8 <= len(columns) <= 10:
            allowed = '"IPv4","source","destination","0xspi","encryption","0xkey","integrity","0xkey"'
            self._wrong("sa", f"has {len(columns) or 'no'} columns in double quotes", allowed=allowed)
            return None
        esn, sequence_number = self._sequence(*columns[8:])
        spi, source, destination = self._selectors(columns)
        suite, keymat = self._suite(*columns[4:8])
        if self._errors:
            return None
        return SaKeys(
            self._place, "esp", spi, source, destination, suite, keymat, esn=esn, sequence_number=sequence_number
        )

    def _selectors(self, columns: list[str]) -> tuple[Pattern, Pattern, Pattern]:
        version = _FAMILIES.get(columns[0], 0)
        if not version:
            self._wrong("protocol", "is no family of addresses", columns[0], "IPv4, IPv6")
        spi, source, destination = Pattern(), Pattern(), Pattern()
        try:
            spi = spi_pattern(columns[3])
        except ValueError:
            self._wrong("SPI", "is no SPI", columns[3], SPI)
        try:
            source = address_pattern(columns[1], version)
        except ValueError:
            self._wrong("source", f"is no address of {columns[0][:4]}", columns[1], ADDRESS)
        try:
            destination = address_pattern(columns[2], version)
        except ValueError:
            self._wrong("destination", f"is no address of {columns[0][:4]}", columns[2], ADDRESS)
        return spi, source, destination

    def _suite(self, encryption: str, key: str, integrity: str, integrity_key: str) -> tuple[str, bytes]:
        """Keyword and keying material."""
        if encryption == _GCM:
            icv = _ANY.fullmatch(integrity)
            octets = _GCM_BY_ICV.get(icv[1]) if icv else None
            if octets is None:
                self._wrong("encryption", f"{_GCM} does not say how long the ICV is", allowed=_named_gcm())
                return "", b""
            encryption = _GCM.replace(" ", f" with {octets} octet ICV ", 1)
        keywords = self._known("encryption", encryption, _ENCRYPTION)
        encr_key = self._key("encryption key", key)
        keyword = keywords.get(len(encr_key), "") if keywords is not None and encr_key is not None else ""
        if keywords is not None and encr_key is not None and not keyword:
            allowed = ", ".join(str(octets) for octets in keywords) + " octets, the salt included"
            self._wrong("encryption key", f"has {len(encr_key)} octets", allowed=allowed)
        if encryption in _COMBINED_ALONE:
            word, integ_key = self._integrity(integrity, integrity_key)
            return f"{keyword}-{word}", (encr_key or b"") + integ_key
        if keywords is not None and integrity != _NULL and not _ANY.fullmatch(integrity):
            self._wrong("integrity", f"does not go with {encryption}, which needs none", allowed=_NULL)
        return keyword, encr_key or b""

    def _integrity(self, name: str, text: str) -> tuple[str, bytes]:
        if name == _NULL or _ANY.fullmatch(name):
            message = "without its algorithm and key a packet cannot be told from a forged one, and is not opened"
            self._wrong("integrity", message, allowed=", ".join(_INTEGRITY))
            return "", b""
        algorithm = self._known("integrity", name, _INTEGRITY)
        key = self._key("integrity key", text)
        if algorithm is None or key is None:
            return "", b""
        if len(key) != algorithm[1]:
            self._wrong("integrity key", f"has {len(key)} octets", allowed=f"{algorithm[1]} octets for {name}")
        return algorithm[0], key

    def _known(self, column: str, name: str, names: dict[str, T]) -> T | None:
        if name in _UNSUPPORTED:
            self._wrong(column, f"{name} is not supported", allowed=", ".join(names))
        elif name not in names:
            allowed = suites.suggestion(name, [*names], ", ".join(names))
            self._wrong(column, "is no algorithm by Wireshark's names", allowed=allowed)
        return names.get(name)

    def _key(self, column: str, text: str) -> bytes | None:
        """Hexadecimal behind `0x`, where Wireshark allows an odd number of digits; else the characters themselves."""
        if text[:2].lower() != "0x":
            return text.encode()
        try:
            return suites.from_hexadecimal(text if len(text) % 2 == 0 else f"0{text[2:]}")
        except ValueError:
            self._wrong(column, "is not hexadecimal", allowed="0x and hexadecimal digits")
            return None

    def _sequence(self, length: str = "32-bit", upper: str = "0") -> tuple[bool, int]:
        """Whether sequence numbers are extended, and one to begin at."""
        if length not in _SEQUENCE_LENGTHS:
            self._wrong("sequence number length", "is no such length", length, ", ".join(_SEQUENCE_LENGTHS))
        if not re.fullmatch(r"(0[xX])?[0-9A-Fa-f]{1,8}", upper):
            self._wrong("upper half of the sequence number", "is no number", upper, "up to eight hexadecimal digits")
            return False, 0
        esn = _SEQUENCE_LENGTHS.get(length, False)
        return esn, int(upper, 16) << 32 if esn else 0


def _named_gcm() -> str:
    return ", ".join(name for name in _ENCRYPTION if name.startswith("AES-GCM with") and "IIV" not in name)
