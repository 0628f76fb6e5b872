"""Key derivation against published vectors, and its bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ironswan.crypto.keys import IkeSuite, child_keymat, derive_ike_keys
from ironswan.crypto.prf import key_length, prf, prf_plus
from ironswan.policy.keywords import IKE_SUPPORTED
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.transforms import Encr, Integ, KeyExchange, Prf, Proposal, Protocol, Transform, TransformType

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ike_keys.json").read_text())


def octets(vector, *names):
    return tuple(bytes.fromhex(vector[name]) for name in names)


@pytest.mark.parametrize("vector", VECTORS["prf"], ids=lambda v: v["id"])
def test_prf_gives_the_published_output(vector):
    key, data, out = octets(vector, "key", "data", "out")
    assert prf(vector["prf_id"], key, data)[: len(out)] == out


@pytest.mark.parametrize("vector", VECTORS["prf_plus"], ids=lambda v: v["id"])
def test_prf_plus_gives_the_published_output(vector):
    key, seed, out = octets(vector, "key", "seed", "out")
    assert prf_plus(vector["prf_id"], key, seed, len(out)) == out


@pytest.mark.parametrize("vector", VECTORS["sa_init"], ids=lambda v: v["id"])
def test_ike_keys_are_cut_from_the_published_stream_in_order(vector):
    """I55, I73."""
    ni, nr, shared, spi_i, spi_r, skeyseed, stream = octets(
        vector, "ni", "nr", "g_ir", "spi_i", "spi_r", "skeyseed", "dkm"
    )
    number = vector["prf_id"]
    assert prf(number, ni + nr, shared) == skeyseed
    suite = IkeSuite(Encr.AES_GCM_16, 16, number, Integ.NONE, KeyExchange.X25519)
    keys = derive_ike_keys(suite, shared, ni, nr, spi_i, spi_r)
    joined = keys.sk_d + keys.sk_ai + keys.sk_ar + keys.sk_ei + keys.sk_er + keys.sk_pi + keys.sk_pr
    length = min(len(joined), len(stream))
    assert joined[:length] == stream[:length]
    assert len(keys.sk_d) == len(keys.sk_pi) == key_length(number)
    if "dkm_child" in vector:
        (plain, pfs, new) = octets(vector, "dkm_child", "dkm_child_dh", "g_ir_new")
        assert child_keymat(number, keys.sk_d, ni, nr, len(plain)) == plain
        assert child_keymat(number, keys.sk_d, ni, nr, len(pfs), new) == pfs
        rekeyed = derive_ike_keys(suite, new, ni, nr, spi_i, spi_r, old_sk_d=keys.sk_d, old_prf=number)
        (seed,) = octets(vector, "skeyseed_rekey")
        assert rekeyed.sk_d == prf_plus(number, seed, ni + nr + spi_i + spi_r, key_length(number))


def test_prf_plus_refuses_more_than_its_counter_can_count():
    """I57."""
    assert len(prf_plus(Prf.HMAC_SHA2_256, b"key", b"seed", 255 * 32)) == 255 * 32
    with pytest.raises(ValueError, match="at most 8160"):
        prf_plus(Prf.HMAC_SHA2_256, b"key", b"seed", 255 * 32 + 1)


def test_rekeyed_ike_sa_takes_its_seed_from_the_old_prf_and_its_keys_from_the_new():
    """RFC 7296 2.18: the two may differ."""
    old_sk_d, new, ni, nr, spis = b"d" * 32, b"s" * 32, b"i" * 32, b"r" * 32, b"8 octets8 Octets"
    suite = IkeSuite(Encr.AES_GCM_16, 16, Prf.HMAC_SHA2_512, Integ.NONE, KeyExchange.X25519)
    keys = derive_ike_keys(suite, new, ni, nr, spis[:8], spis[8:], old_sk_d=old_sk_d, old_prf=Prf.HMAC_SHA2_256)
    seed = prf(Prf.HMAC_SHA2_256, old_sk_d, new + ni + nr)
    stream = prf_plus(Prf.HMAC_SHA2_512, seed, ni + nr + spis, 3 * 64 + 2 * 20)
    assert keys.sk_d + keys.sk_ei + keys.sk_er + keys.sk_pi + keys.sk_pr == stream


def test_keys_are_in_no_repr():
    suite = IkeSuite.from_proposal(parse_proposal("aes256-sha512-x25519", Protocol.IKE))
    keys = derive_ike_keys(suite, b"s" * 32, b"i" * 32, b"r" * 32, b"8 octets", b"8 Octets")
    assert repr(keys) == "IkeKeys()"


def test_suite_follows_from_a_chosen_proposal():
    suite = IkeSuite.from_proposal(parse_proposal("aes256-sha512-modp2048", Protocol.IKE))
    assert suite == IkeSuite(Encr.AES_CBC, 32, Prf.HMAC_SHA2_512, Integ.HMAC_SHA2_512_256, KeyExchange.MODP_2048)
    assert not suite.aead
    suite = IkeSuite.from_proposal(parse_proposal("chacha20poly1305-prfsha256-ecp384", Protocol.IKE))
    assert suite == IkeSuite(Encr.CHACHA20_POLY1305, 32, Prf.HMAC_SHA2_256, Integ.NONE, KeyExchange.ECP_384)
    assert suite.aead
    with pytest.raises(ValueError, match="2 transforms"):
        IkeSuite.from_proposal(parse_proposal("aes128gcm16-prfsha256-x25519-ecp256", Protocol.IKE))


ENCR, PRF, INTEG, KE = TransformType.ENCR, TransformType.PRF, TransformType.INTEG, TransformType.KE
CBC, GCM, CHACHA = (ENCR, Encr.AES_CBC, 128), (ENCR, Encr.AES_GCM_16, 128), (ENCR, Encr.CHACHA20_POLY1305)
HMAC, NO_INTEG = (INTEG, Integ.HMAC_SHA2_256_128), (INTEG, Integ.NONE)
SHA256, X25519 = (PRF, Prf.HMAC_SHA2_256), (KE, KeyExchange.X25519)


@pytest.mark.parametrize(
    "transforms",
    [
        pytest.param((CBC, SHA256, X25519), id="no integrity"),
        pytest.param((CBC, SHA256, NO_INTEG, X25519), id="integrity NONE"),
        pytest.param((CBC, SHA256, HMAC, (INTEG, Integ.HMAC_SHA2_512_256), X25519), id="two integrity algorithms"),
        pytest.param((GCM, SHA256, HMAC, X25519), id="AEAD and integrity"),
        pytest.param(((ENCR, Encr.AES_CCM_8_IIV, 128), SHA256, X25519), id="implicit IV"),
        pytest.param(((ENCR, Encr.NULL_AUTH_AES_GMAC, 128), SHA256, X25519), id="GMAC"),
        pytest.param(((ENCR, Encr.AES_CTR, 128), SHA256, X25519), id="CTR without integrity"),
        pytest.param(((ENCR, Encr.NULL), SHA256, HMAC, X25519), id="no encryption"),
        pytest.param(((ENCR, Encr.DES3_CBC), SHA256, HMAC, X25519), id="3DES"),
        pytest.param(((ENCR, 1025, 128), SHA256, HMAC, X25519), id="private cipher"),
        pytest.param(((ENCR, Encr.AES_CBC), SHA256, HMAC, X25519), id="AES without key length"),
        pytest.param(((ENCR, Encr.AES_CBC, 129), SHA256, HMAC, X25519), id="AES-129"),
        pytest.param(((ENCR, Encr.AES_CBC, 64), SHA256, HMAC, X25519), id="AES-64"),
        pytest.param(((*CHACHA, 256), SHA256, X25519), id="ChaCha20 with key length"),
        pytest.param((GCM, (PRF, Prf.AES128_XCBC), X25519), id="XCBC"),
        pytest.param((GCM, SHA256), id="no key exchange"),
    ],
)
def test_unsound_choice_is_no_suite(transforms):
    """I46, I47: a second line behind the negotiation."""
    proposal = Proposal(Protocol.IKE, tuple(Transform(*t) for t in transforms), 1)
    with pytest.raises(ValueError, match="not supported|not a choice|from one only"):
        IkeSuite.from_proposal(proposal)


@pytest.mark.parametrize("cipher", [GCM, CHACHA])
def test_integrity_none_may_be_spelled_out_with_aead(cipher):
    """RFC 7296 3.3.3."""
    transforms = tuple(Transform(*t) for t in (cipher, SHA256, NO_INTEG, X25519))
    assert IkeSuite.from_proposal(Proposal(Protocol.IKE, transforms, 1)).aead


@pytest.mark.parametrize("function", [t for t in IKE_SUPPORTED if t.type == TransformType.PRF])
def test_every_prf_that_is_negotiated_is_there(function):
    assert len(prf(function.id, b"key", b"data")) == key_length(function.id)


@pytest.mark.parametrize(("cipher", "octets"), [("aes192ctr-sha256", 24 + 4), ("aes256ccm12-prfsha256", 32 + 3)])
def test_salt_stands_behind_the_encryption_key(cipher, octets):
    """RFC 5930 3, RFC 5282 7.1."""
    suite = IkeSuite.from_proposal(parse_proposal(f"{cipher}-x25519", Protocol.IKE))
    keys = derive_ike_keys(suite, b"s" * 32, b"i" * 32, b"r" * 32, b"8 octets", b"8 Octets")
    assert len(keys.sk_ei) == len(keys.sk_er) == octets
