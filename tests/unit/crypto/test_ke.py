"""Key exchange methods: both sides agree, and what is not of the group is refused."""

from __future__ import annotations

import random

import pytest

from ironswan.crypto import ke, modp
from ironswan.policy.transforms import KeyExchange

MODP = [KeyExchange.MODP_2048, KeyExchange.MODP_3072, KeyExchange.MODP_4096]
ECP = [KeyExchange.ECP_256, KeyExchange.ECP_384, KeyExchange.ECP_521]
LENGTHS = {KeyExchange.X25519: 32, KeyExchange.ECP_256: 64, KeyExchange.ECP_384: 96, KeyExchange.ECP_521: 132,
           KeyExchange.MODP_2048: 256, KeyExchange.MODP_3072: 384, KeyExchange.MODP_4096: 512}  # fmt: skip


@pytest.fixture
def entropy():
    return random.Random(1).randbytes


@pytest.mark.parametrize("method", LENGTHS)
def test_both_sides_get_the_same_secret(method, entropy):
    """I35, I36."""
    a, b = ke.new(method, entropy), ke.new(method, entropy)
    assert a.public != b.public
    assert len(a.public) == LENGTHS[method]
    secret = a.shared(b.public)
    assert secret == b.shared(a.public)
    assert len(secret) == (LENGTHS[method] // 2 if method in ECP else LENGTHS[method])


@pytest.mark.parametrize("method", LENGTHS)
def test_a_seed_reproduces_the_exchange(method):
    assert ke.new(method, random.Random(7).randbytes).public == ke.new(method, random.Random(7).randbytes).public


@pytest.mark.parametrize("method", LENGTHS)
def test_public_value_of_the_wrong_length_is_refused(method, entropy):
    mine = ke.new(method, entropy)
    for wrong in (b"", mine.public[:-1], mine.public + b"\0"):
        with pytest.raises(ke.InvalidPublicValue):
            mine.shared(wrong)
        with pytest.raises(ke.InvalidPublicValue):
            ke.check(method, wrong)
    ke.check(method, mine.public)


@pytest.mark.parametrize("method", MODP)
def test_modp_values_at_the_edges_are_refused(method, entropy):
    """I37: 1 < r < p - 1."""
    mine, prime = ke.new(method, entropy), modp.prime(method)
    for value in (0, 1, prime - 1, prime, prime + 1):
        with pytest.raises(ke.InvalidPublicValue):
            mine.shared(value.to_bytes(LENGTHS[method], "big"))
        with pytest.raises(ke.InvalidPublicValue):
            ke.check(method, value.to_bytes(LENGTHS[method], "big"))


@pytest.mark.parametrize("method", MODP)
def test_modp_prime_is_the_safe_prime_of_rfc_3526(method):
    prime = modp.prime(method)
    assert prime.bit_length() == LENGTHS[method] * 8
    assert prime >> (prime.bit_length() - 64) == prime & (2**64 - 1) == 2**64 - 1
    assert pow(2, prime - 1, prime) == 1
    assert pow(3, (prime - 1) // 2 - 1, (prime - 1) // 2) == 1


@pytest.mark.parametrize("method", ECP)
def test_points_that_are_not_on_the_curve_are_refused(method, entropy):
    """I37."""
    mine = ke.new(method, entropy)
    flipped = bytes((*mine.public[:-1], mine.public[-1] ^ 1))
    for wrong in (flipped, bytes(len(mine.public)), b"\xff" * len(mine.public)):
        with pytest.raises(ke.InvalidPublicValue):
            mine.shared(wrong)
        with pytest.raises(ke.InvalidPublicValue):
            ke.check(method, wrong)


def test_x25519_masks_the_top_bit_and_refuses_low_order(entropy):
    """I39."""
    a, b = ke.new(KeyExchange.X25519, entropy), ke.new(KeyExchange.X25519, entropy)
    assert a.shared(b.public[:-1] + bytes((b.public[-1] | 0x80,))) == a.shared(b.public)
    for low_order in (bytes(32), b"\1" + bytes(31)):
        with pytest.raises(ke.InvalidPublicValue):
            a.shared(low_order)


def test_unknown_method_is_a_value_error(entropy):
    with pytest.raises(ValueError, match="1025"):
        ke.new(1025, entropy)
