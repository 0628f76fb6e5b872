"""Key derivation against published vectors, and its bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ironswan.crypto.keys import IkeSuite, child_keymat, derive_ike_keys
from ironswan.crypto.prf import key_length, prf, prf_plus
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.transforms import Encr, Integ, KeyExchange, Prf, Protocol

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
        assert prf(number, keys.sk_d, new + ni + nr) == octets(vector, "skeyseed_rekey")[0]
        assert rekeyed != keys


def test_prf_plus_refuses_more_than_its_counter_can_count():
    """I57."""
    assert len(prf_plus(Prf.HMAC_SHA2_256, b"key", b"seed", 255 * 32)) == 255 * 32
    with pytest.raises(ValueError, match="at most 8160"):
        prf_plus(Prf.HMAC_SHA2_256, b"key", b"seed", 255 * 32 + 1)


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
