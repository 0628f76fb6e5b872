"""Choosing a connection, by addresses and then by identities, and the secret that belongs to two identities."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from ironswan.ike.types import Endpoint
from ironswan.policy.connection import Configuration, Connection, SharedSecret
from ironswan.policy.identity import Identity, IdType, matches, same
from ironswan.policy.selectors import Address

ANY = ("%any", "%any4", "%any6", "0.0.0.0", "::", "0.0.0.0/0", "::/0")  # noqa: S104
ANY_IDENTITY = b"%any"


def own_identity(connection: Connection, local: Endpoint) -> Identity:
    """Who we say we are: the configured identity, else our address."""
    return definite(connection.local.id) or Identity.of_address(local.address)


def definite(expected: Identity | None) -> Identity | None:
    """The one identity that is meant; None when the configuration leaves room (nothing, `%any`, a wildcard)."""
    if expected is None or expected.type not in (IdType.FQDN, IdType.RFC822_ADDR):
        return expected
    return None if b"*" in expected.data or expected.data == ANY_IDENTITY else expected


def candidates(configuration: Configuration, local: Endpoint, remote: Endpoint) -> tuple[Connection, ...]:
    """Connections that may be meant by a peer at these addresses; more specific remote addresses first."""
    scored = [
        (min(_score(c.remote_addrs, remote.address), 3), _score(c.local_addrs, local.address), c)
        for c in configuration.connections
    ]
    fitting = [
        (remote_score, local_score, c) for remote_score, local_score, c in scored if remote_score and local_score
    ]
    return tuple(c for _, _, c in sorted(fitting, key=lambda item: (-item[0], -item[1])))


def _score(texts: tuple[str, ...], address: Address) -> int:
    """0 no match, 1 by wildcard, 2 by network or range, 3 by address."""
    return max((_score_one(text.strip(), address) for text in texts), default=1)


def _score_one(text: str, address: Address) -> int:
    if text in ANY or text == "":
        family = {"%any4": 4, "0.0.0.0": 4, "0.0.0.0/0": 4, "%any6": 6, "::": 6, "::/0": 6}.get(text)  # noqa: S104
        return 1 if family in (None, address.version) else 0
    try:
        if "/" in text:
            network = ip_network(text, strict=False)
            return 2 if network.version == address.version and address in network else 0
        if "-" in text:
            start, _, end = text.partition("-")
            first, last = ip_address(start.strip()), ip_address(end.strip())
            inside = first.version == last.version == address.version and int(first) <= int(address) <= int(last)
            return 2 if inside else 0
        return 3 if ip_address(text) == address else 0
    except ValueError:
        # A host name: the gateway resolves those it initiates to; a peer that comes in is told apart by its identity.
        return 1


def fits_identities(connection: Connection, local: Endpoint, peer: Identity, wanted: Identity | None) -> bool:
    """Whether the peer may be who the connection expects, and we who the peer asked for."""
    if not matches(connection.remote.id, peer):
        return False
    return wanted is None or same(wanted, own_identity(connection, local))


def shared_secret(configuration: Configuration, local: Identity, remote: Identity | None) -> bytes | None:
    """The secret for these identities: one that names the peer before one that names us, before one for anyone.

    `remote` None: who the peer is will only be known from its answer, so a secret that names us will do.
    """
    best: tuple[int, bytes] | None = None
    for secret in configuration.secrets:
        score = _secret_score(secret, local, remote)
        if score and (best is None or score > best[0]):
            best = (score, secret.secret)
    return best[1] if best else None


def _secret_score(secret: SharedSecret, local: Identity, remote: Identity | None) -> int:
    if not secret.ids:
        return 1
    ours = [matches(pattern, local) for pattern in secret.ids]
    if remote is None:
        return 2 if any(ours) else 0
    if any(matches(pattern, remote) for pattern in secret.ids):
        return 3 + any(ours)
    # A secret that names others besides us belongs to them alone: its holder may not claim a third identity.
    return 2 if all(ours) else 0
