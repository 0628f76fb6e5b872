"""The MODP primes of RFC 3526, from their definition: p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + c)."""

from __future__ import annotations

from functools import cache

from ironswan.policy.transforms import KeyExchange

_BITS_AND_OFFSET = {
    KeyExchange.MODP_2048: (2048, 124476),
    KeyExchange.MODP_3072: (3072, 1690314),
    KeyExchange.MODP_4096: (4096, 240904),
}
GENERATOR = 2


def supported() -> frozenset[int]:
    """The transform numbers of the groups here."""
    return frozenset(_BITS_AND_OFFSET)


def length(method: int) -> int:
    """Octets of the modulus, and so of public values and shared secrets."""
    return _BITS_AND_OFFSET[KeyExchange(method)][0] // 8


@cache
def prime(method: int) -> int:
    """The modulus of a group."""
    bits, offset = _BITS_AND_OFFSET[KeyExchange(method)]
    pi = _scaled_pi(bits - 130)
    return int(2**bits - 2 ** (bits - 64) - 1 + 2**64 * (pi + offset))


def _scaled_pi(bits: int) -> int:
    """floor(2^bits * pi) by Machin's formula, with guard bits."""
    guard = 64
    one = 1 << (bits + guard)
    return (4 * (4 * _arctan_inverse(5, one) - _arctan_inverse(239, one))) >> guard


def _arctan_inverse(x: int, one: int) -> int:
    power = one // x
    total = power
    n, sign = 3, -1
    while power:
        power //= x * x
        total += sign * (power // n)
        n, sign = n + 2, -sign
    return total
