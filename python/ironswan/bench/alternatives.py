"""What else a Python program could seal and open ESP with: `cryptography` in a loop, and scapy. IPv4 in tunnel mode.

Both take packets one by one, as there is no other way with them, and both do less than ironswan: of a packet they check
the ICV and its sequence number only (the loop: that it is new; scapy: nothing).
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterable
from typing import Any, Protocol

SPI = 0x00C0FFEE
_IPV4_IN_ESP = 4
_HEADER = struct.Struct(">II")
_PADDING = tuple(bytes(range(1, n + 1)) + bytes((n, _IPV4_IN_ESP)) for n in range(4))
_OUTER_IP = 20
_SCAPY_INTEG = {
    "sha1": "HMAC-SHA1-96",
    "sha256": "SHA2-256-128",
    "sha384": "SHA2-384-192",
    "sha512": "SHA2-512-256",
    "aescmac": "AES-CMAC-96",
}
_SCAPY_ENCR = (
    (re.compile(r"aes(128|192|256)gcm16"), "AES-GCM"),
    (re.compile(r"aes(128|192|256)gmac"), "AES-NULL-GMAC"),
    (re.compile(r"aes(128|192|256)ccm(8|12|16)"), "AES-CCM"),
    (re.compile(r"aes(128|192|256)ctr"), "AES-CTR"),
    (re.compile(r"aes(128|192|256)"), "AES-CBC"),
    (re.compile("chacha20poly1305"), "CHACHA20-POLY1305"),
    (re.compile("3des"), "3DES"),
    (re.compile("null"), "NULL"),
)


class NoSuchSuite(Exception):
    """The library cannot do this suite."""


class Lengths(Protocol):
    """What is asked of a suite's description, as in `ironswan.esp.suites()`. Lengths are in octets."""

    @property
    def keyword(self) -> str:
        """As in a proposal."""

    @property
    def key_len(self) -> int:
        """Of the encryption key."""

    @property
    def salt_len(self) -> int:
        """Behind the key."""

    @property
    def icv_len(self) -> int:
        """Of the ICV."""


class Alternative(Protocol):
    """One SA of another library, both directions. Whole inner packets and ESP packets without outer header."""

    def encap(self, packets: Iterable[bytes]) -> list[bytes]:
        """ESP packets of inner packets."""

    def decap(self, packets: Iterable[bytes]) -> list[bytes]:
        """Inner packets of ESP packets."""


class CryptographyLoop:
    """RFC 4106, 4309 and 7634 in a few lines around an AEAD of `cryptography`: header, IV, padding; no window."""

    def __init__(self, suite: Lengths, keymat: bytes) -> None:
        """Raises NoSuchSuite unless it is an AEAD with explicit IV that the library has."""
        self._aead = _aead(suite, keymat[: suite.key_len])
        self._salt = keymat[suite.key_len :]
        self._sent = self._highest = 0

    def encap(self, packets: Iterable[bytes]) -> list[bytes]:
        """ESP packets of inner packets."""
        encrypt, salt, sequence_number, sealed = self._aead.encrypt, self._salt, self._sent, []
        for packet in packets:
            sequence_number += 1
            header, iv = _HEADER.pack(SPI, sequence_number), sequence_number.to_bytes(8, "big")
            plaintext = packet + _PADDING[-(len(packet) + 2) & 3]
            sealed.append(header + iv + encrypt(salt + iv, plaintext, header))
        self._sent = sequence_number
        return sealed

    def decap(self, packets: Iterable[bytes]) -> list[bytes]:
        """Inner packets of ESP packets. Raises ValueError for a packet seen before, InvalidTag for a forged one."""
        decrypt, salt, highest, opened = self._aead.decrypt, self._salt, self._highest, []
        for packet in packets:
            _, sequence_number = _HEADER.unpack_from(packet)
            if sequence_number <= highest:
                raise ValueError(f"sequence number {sequence_number} is not new")
            plaintext = decrypt(salt + packet[8:16], packet[16:], packet[:8])
            highest = sequence_number
            opened.append(plaintext[: -2 - plaintext[-2]])
        self._highest = highest
        return opened


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def _aead(suite: Lengths, key: bytes) -> _Aead:
    from cryptography.hazmat.primitives.ciphers import aead

    if re.fullmatch(r"aes\d+gcm16", suite.keyword):
        return aead.AESGCM(key)
    if re.fullmatch(r"aes\d+ccm\d+", suite.keyword):
        return aead.AESCCM(key, tag_length=suite.icv_len)
    if suite.keyword == "chacha20poly1305":
        return aead.ChaCha20Poly1305(key)
    raise NoSuchSuite(f"cryptography has no AEAD for {suite.keyword}")


class ScapyLoop:
    """scapy's SecurityAssociation, from bytes to bytes: its reading of packets into layers is part of it."""

    def __init__(self, suite: Lengths, keymat: bytes) -> None:
        """Raises ImportError without scapy, NoSuchSuite for a suite that it lacks."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from scapy.layers.inet import IP
            from scapy.layers.ipsec import ESP, SecurityAssociation
        encr, integ = scapy_algorithms(suite.keyword)
        cut = suite.key_len + suite.salt_len
        association: Any = SecurityAssociation
        self._read: Any = IP
        self._sa = association(
            ESP,
            SPI,
            crypt_algo=encr,
            crypt_key=keymat[:cut] or None,
            crypt_icv_size=None if integ else suite.icv_len,
            auth_algo=integ,
            auth_key=keymat[cut:] or None,
            tunnel_header=IP(src="192.0.2.1", dst="192.0.2.2"),
        )
        self._outer = bytes(IP(src="192.0.2.1", dst="192.0.2.2", proto=50))

    def encap(self, packets: Iterable[bytes]) -> list[bytes]:
        """ESP packets of inner packets."""
        encrypt, read = self._sa.encrypt, self._read
        return [bytes(encrypt(read(packet)))[_OUTER_IP:] for packet in packets]

    def decap(self, packets: Iterable[bytes]) -> list[bytes]:
        """Inner packets of ESP packets. Raises IPSecIntegrityError for a forged one."""
        decrypt, read, (before, behind) = self._sa.decrypt, self._read, (self._outer[:2], self._outer[4:])
        return [
            bytes(decrypt(read(before + (_OUTER_IP + len(packet)).to_bytes(2, "big") + behind + packet)))
            for packet in packets
        ]


def scapy_algorithms(keyword: str) -> tuple[str, str | None]:
    """scapy's names for the two algorithms of a suite. Raises NoSuchSuite where it has none."""
    encr, _, integ = keyword.partition("-")
    name = next((name for pattern, name in _SCAPY_ENCR if pattern.fullmatch(encr)), None)
    if name is None or (integ and integ not in _SCAPY_INTEG):
        raise NoSuchSuite(f"scapy has no {keyword}")
    return name, _SCAPY_INTEG.get(integ)
