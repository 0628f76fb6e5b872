"""What protects an SK or SKF payload: CBC with HMAC (RFC 7296 3.14), CTR with HMAC (RFC 5930), GCM and CCM (RFC 5282),
ChaCha20 (RFC 7634)."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.constant_time import bytes_eq

from ironswan.crypto.keys import IkeSuite
from ironswan.policy.transforms import Encr, Integ

_CBC_BLOCK = 16
_COUNTER_IV = 8
_AEAD_ICV = {
    Encr.AES_GCM_8: 8, Encr.AES_GCM_12: 12, Encr.AES_GCM_16: 16, Encr.AES_CCM_8: 8, Encr.AES_CCM_12: 12,
    Encr.AES_CCM_16: 16, Encr.CHACHA20_POLY1305: 16,
}  # fmt: skip
_CCM = (Encr.AES_CCM_8, Encr.AES_CCM_12, Encr.AES_CCM_16)
_INTEG: dict[int, tuple[Callable[[], hashes.HashAlgorithm], int]] = {
    Integ.HMAC_SHA1_96: (hashes.SHA1, 12),
    Integ.HMAC_SHA2_256_128: (hashes.SHA256, 16),
    Integ.HMAC_SHA2_384_192: (hashes.SHA384, 24),
    Integ.HMAC_SHA2_512_256: (hashes.SHA512, 32),
}


class IntegrityError(ValueError):
    """The octets were not protected with these keys, or were changed."""


def iv_is_counter(suite: IkeSuite) -> bool:
    """Whether an IV must never come twice under one key, rather than be unpredictable."""
    return suite.encr != Encr.AES_CBC


def iv_length(suite: IkeSuite) -> int:
    """Octets of IV in front of the ciphertext."""
    return _COUNTER_IV if iv_is_counter(suite) else _CBC_BLOCK


def icv_length(suite: IkeSuite) -> int:
    """Octets of ICV behind the ciphertext."""
    return _AEAD_ICV[Encr(suite.encr)] if suite.aead else _INTEG[suite.integ][1]


def sealed_length(suite: IkeSuite, plaintext_length: int) -> int:
    """Octets of IV, ciphertext with padding, and ICV for a plaintext."""
    return iv_length(suite) + plaintext_length + _pad_length(suite, plaintext_length) + 1 + icv_length(suite)


def _block(suite: IkeSuite) -> int:
    return 1 if iv_is_counter(suite) else _CBC_BLOCK


def _pad_length(suite: IkeSuite, plaintext_length: int) -> int:
    return -(plaintext_length + 1) % _block(suite)


def seal(suite: IkeSuite, sk_e: bytes, sk_a: bytes, associated: bytes, plaintext: bytes, iv: bytes) -> bytes:
    """IV | ciphertext | ICV. `associated` is everything in the message before the IV, its lengths already final.

    `iv` has `iv_length(suite)` octets: unpredictable for CBC, for all others never used twice with this key (RFC 5282
    3.1, RFC 5930 2).
    """
    pad = _pad_length(suite, len(plaintext))
    padded = plaintext + bytes(pad) + bytes((pad,))
    if suite.aead:
        return iv + _aead_seal(suite, sk_e, iv, padded, associated)
    encryptor = _cipher(suite, sk_e, iv).encryptor()
    body = iv + encryptor.update(padded) + encryptor.finalize()
    return body + _mac(suite, sk_a, associated + body)


def open(suite: IkeSuite, sk_e: bytes, sk_a: bytes, associated: bytes, body: bytes) -> bytes:  # noqa: A001
    """The plaintext without its padding. Raises IntegrityError; the ICV is checked before anything else."""
    iv, icv = iv_length(suite), icv_length(suite)
    if len(body) < iv + 1 + icv or (len(body) - iv - icv) % _block(suite):
        raise IntegrityError("an encrypted payload of impossible length")
    if suite.aead:
        padded = _aead_open(suite, sk_e, body[:iv], body[iv:], associated)
    else:
        if not bytes_eq(_mac(suite, sk_a, associated + body[:-icv]), body[-icv:]):
            raise IntegrityError("the ICV does not match")
        decryptor = _cipher(suite, sk_e, body[:iv]).decryptor()
        padded = decryptor.update(body[iv:-icv]) + decryptor.finalize()
    pad = padded[-1]
    if pad + 1 > len(padded):
        raise IntegrityError(f"pad length {pad} does not fit")
    return padded[: len(padded) - pad - 1]


def _cipher(suite: IkeSuite, sk_e: bytes, iv: bytes) -> Cipher[modes.CBC | modes.CTR]:
    if suite.encr == Encr.AES_CBC:
        return Cipher(algorithms.AES(sk_e), modes.CBC(iv))
    # RFC 3686 4: nonce, IV, and a block counter that begins with 1.
    return Cipher(algorithms.AES(sk_e[:-4]), modes.CTR(sk_e[-4:] + iv + bytes((0, 0, 0, 1))))


def _mac(suite: IkeSuite, key: bytes, data: bytes) -> bytes:
    algorithm, length = _INTEG[suite.integ]
    mac = hmac.HMAC(key, algorithm())
    mac.update(data)
    return mac.finalize()[:length]


def _aead_seal(suite: IkeSuite, sk_e: bytes, iv: bytes, plaintext: bytes, associated: bytes) -> bytes:
    key, nonce = sk_e[: suite.encr_key_length], sk_e[suite.encr_key_length :] + iv
    if (whole := _whole(suite, key)) is not None:
        return whole.encrypt(nonce, plaintext, associated)
    encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(associated)
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    return ciphertext + encryptor.tag[: icv_length(suite)]


def _aead_open(suite: IkeSuite, sk_e: bytes, iv: bytes, body: bytes, associated: bytes) -> bytes:
    key, nonce = sk_e[: suite.encr_key_length], sk_e[suite.encr_key_length :] + iv
    try:
        if (whole := _whole(suite, key)) is not None:
            return whole.decrypt(nonce, body, associated)
        icv = icv_length(suite)
        decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce, body[-icv:], min_tag_length=icv)).decryptor()
        decryptor.authenticate_additional_data(associated)
        return decryptor.update(body[:-icv]) + decryptor.finalize()
    except InvalidTag:
        raise IntegrityError("the ICV does not match") from None


def _whole(suite: IkeSuite, key: bytes) -> ChaCha20Poly1305 | AESCCM | None:
    """The ciphers that take a message in one piece; None for GCM, whose short ICVs they do not have."""
    if suite.encr == Encr.CHACHA20_POLY1305:
        return ChaCha20Poly1305(key)
    return AESCCM(key, icv_length(suite)) if suite.encr in _CCM else None
