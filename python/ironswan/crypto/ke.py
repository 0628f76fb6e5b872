"""Key exchange methods: X25519 (RFC 8031), ECP (RFC 5903) and MODP (RFC 3526), with the checks of RFC 6989."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, x25519

from ironswan.crypto import modp
from ironswan.policy.transforms import KeyExchange

Entropy = Callable[[int], bytes]
_CURVES: dict[int, tuple[type[ec.EllipticCurve], int, int]] = {
    # curve, octets of a coordinate, order of the base point
    KeyExchange.ECP_256: (
        ec.SECP256R1,
        32,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    KeyExchange.ECP_384: (
        ec.SECP384R1,
        48,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    KeyExchange.ECP_521: (
        ec.SECP521R1,
        66,
        2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    ),
}


class InvalidPublicValue(ValueError):
    """The peer's public value is not one of the group (RFC 6989 2)."""


class KeyExchangeState(Protocol):
    """Our half of one key exchange."""

    @property
    def public(self) -> bytes:
        """Our public value, as it stands in the KE payload."""

    def shared(self, peer_public: bytes) -> bytes:
        """The shared secret, of full length (I36). Raises InvalidPublicValue."""


def supported() -> frozenset[int]:
    """The transform numbers that `new` takes."""
    return frozenset({int(KeyExchange.X25519)} | set(_CURVES) | modp.supported())


def new(method: int, entropy: Entropy) -> KeyExchangeState:
    """A fresh key pair for a method, drawn from `entropy`. Raises ValueError for a method that is not supported."""
    if method == KeyExchange.X25519:
        return _X25519(entropy)
    if method in _CURVES:
        return _Ecp(method, entropy)
    if method in modp.supported():
        return _Modp(method, entropy)
    raise ValueError(f"key exchange method {method} is not supported")


def check(method: int, public: bytes) -> None:
    """Refuse a peer's value by its length, range or curve, before a key of our own is made for it (I37).

    What is of low order shows only in the shared secret. Raises InvalidPublicValue.
    """
    if method == KeyExchange.X25519:
        _check_x25519(public)
    elif method in _CURVES:
        _point(method, public)
    else:
        _residue(method, public)


def _check_x25519(public: bytes) -> None:
    if len(public) != 32:
        raise InvalidPublicValue(f"an X25519 public value of {len(public)} octets, not 32")


def _point(method: int, public: bytes) -> ec.EllipticCurvePublicKey:
    curve, length, _ = _CURVES[method]
    if len(public) != 2 * length:
        raise InvalidPublicValue(f"an ECP public value of {len(public)} octets, not {2 * length}")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve(), b"\x04" + public)
    except ValueError:
        raise InvalidPublicValue(f"a point that is not on {curve.name}") from None


def _residue(method: int, public: bytes) -> int:
    length, value = modp.length(method), int.from_bytes(public, "big")
    if len(public) != length or not 1 < value < modp.prime(method) - 1:
        raise InvalidPublicValue(f"a MODP public value that is not in 1 < r < p - 1, {length} octets")
    return value


class _X25519:
    def __init__(self, entropy: Entropy) -> None:
        self._private = x25519.X25519PrivateKey.from_private_bytes(entropy(32))
        self.public = self._private.public_key().public_bytes_raw()

    def shared(self, peer_public: bytes) -> bytes:
        _check_x25519(peer_public)
        try:
            return self._private.exchange(x25519.X25519PublicKey.from_public_bytes(peer_public))
        except ValueError:
            # RFC 7748 6.1: an all-zero secret is refused.
            raise InvalidPublicValue("an X25519 public value of low order") from None


class _Ecp:
    def __init__(self, method: int, entropy: Entropy) -> None:
        curve, length, order = _CURVES[method]
        self._method = method
        # 64 bits more than the order, so that the bias of the reduction cannot be seen (FIPS 186-5 A.2.1).
        secret = int.from_bytes(entropy(length + 8), "big") % (order - 1) + 1
        self._private = ec.derive_private_key(secret, curve())
        point = self._private.public_key().public_numbers()
        self.public = point.x.to_bytes(length, "big") + point.y.to_bytes(length, "big")

    def shared(self, peer_public: bytes) -> bytes:
        return self._private.exchange(ec.ECDH(), _point(self._method, peer_public))


class _Modp:
    def __init__(self, method: int, entropy: Entropy) -> None:
        self._method = method
        # RFC 3526 8: exponents of twice the group's strength; 512 bits serve all groups here. Plain integers, because
        # `cryptography` is giving up finite-field groups; the exponent is used once, so its timing can be seen once.
        self._secret = int.from_bytes(entropy(64), "big") | 1 << 511
        self.public = pow(modp.GENERATOR, self._secret, modp.prime(method)).to_bytes(modp.length(method), "big")

    def shared(self, peer_public: bytes) -> bytes:
        secret = pow(_residue(self._method, peer_public), self._secret, modp.prime(self._method))
        return secret.to_bytes(modp.length(self._method), "big")
