"""Stateless cookies (RFC 7296 2.6): when to ask for one, and whether one is ours. The secret rotates."""

from __future__ import annotations

from ironswan.crypto import cookie
from ironswan.ike.environment import Environment
from ironswan.ike.types import Endpoint

SECRET_LIFETIME = 60.0
SECRET_LENGTH = 32


class CookieJar:
    """The current and the previous secret."""

    def __init__(self, environment: Environment) -> None:
        """The first secret is drawn when it is needed."""
        self._environment = environment
        self._secrets: list[tuple[int, bytes]] = []
        self._rotate_at = float("-inf")
        self._version = 0

    def make(self, nonce: bytes, remote: Endpoint, spi_i: bytes, now: float) -> bytes:
        """A cookie for a request."""
        self._rotate(now)
        version, secret = self._secrets[0]
        return cookie.make(secret, version, nonce, remote.address, spi_i)

    def valid(self, data: bytes, nonce: bytes, remote: Endpoint, spi_i: bytes, now: float) -> bool:
        """Whether a cookie is one we gave for this request a short while ago."""
        self._rotate(now)
        return any(
            cookie.verify(secret, version, data, nonce, remote.address, spi_i) for version, secret in self._secrets
        )

    def _rotate(self, now: float) -> None:
        if now < self._rotate_at:
            return
        self._version = (self._version + 1) % 256
        keep = self._secrets[:1] if now < self._rotate_at + SECRET_LIFETIME else []
        self._secrets = [(self._version, self._environment.entropy(SECRET_LENGTH)), *keep]
        self._rotate_at = now + SECRET_LIFETIME
