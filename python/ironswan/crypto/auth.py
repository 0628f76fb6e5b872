"""What AUTH covers, and the proof with a pre-shared key (RFC 7296 2.15)."""

from __future__ import annotations

from cryptography.hazmat.primitives.constant_time import bytes_eq

from ironswan.crypto.prf import prf

_KEY_PAD = b"Key Pad for IKEv2"


def signed_octets(prf_id: int, message: bytes, peer_nonce: bytes, sk_p: bytes, id_body: bytes) -> bytes:
    """The octets that AUTH proves.

    `message` is the sender's own IKE_SA_INIT exactly as sent, without the non-ESP marker (I58); `id_body` is its ID
    payload without the generic header; `sk_p` is SK_pi for the initiator and SK_pr for the responder.
    """
    return message + peer_nonce + prf(prf_id, sk_p, id_body)


def psk_auth(prf_id: int, psk: bytes, octets: bytes) -> bytes:
    """The AUTH data of the shared key method."""
    return prf(prf_id, prf(prf_id, psk, _KEY_PAD), octets)


def constant_time_equal(a: bytes, b: bytes) -> bool:
    """Whether two proofs are equal, in time that tells nothing about where they differ."""
    return bytes_eq(a, b)
