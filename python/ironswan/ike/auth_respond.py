"""IKE_AUTH from the responder's side: who is this, may they, can they prove it; then the first Child SA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike import child_create
from ironswan.ike.auth import SHARED_KEY_MIC, own_auth, peer_auth_is_valid
from ironswan.ike.children import install
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.lifetime import announce, established
from ironswan.ike.payloads import Payloads, find, find_id, notify
from ironswan.ike.refusal import Refusal
from ironswan.ike.selection import candidates, definite, fits_identities, own_identity, shared_secret
from ironswan.ike.types import Because, IkeState
from ironswan.ike.uniqueness import enforce, refused_as_duplicate
from ironswan.policy.connection import Connection
from ironswan.policy.identity import Identity
from ironswan.policy.proposals import Mismatch, select
from ironswan.policy.transforms import Proposal
from ironswan.wire.auth import AuthPayload
from ironswan.wire.identification import IdPayload
from ironswan.wire.numbers import NotifyType
from ironswan.wire.sa import SaPayload

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa


def respond(sa: IkeSa, payloads: Payloads, now: float) -> Payloads:
    """Answer IKE_AUTH."""
    peer, proof = find_id(payloads, True), find(payloads, AuthPayload)
    if peer is None or proof is None:
        return _refuse(sa, Because.MISSING_PAYLOAD, "IKE_AUTH lacks IDi or AUTH (EAP is not supported)", now)
    wanted = find_id(payloads, False)
    connection = _connection(sa, peer.identity, wanted.identity if wanted else None)
    if connection is None:
        return _refuse(sa, Because.UNKNOWN_IDENTITY, f"no connection for a peer that says it is {peer.identity}", now)
    sa.connection = connection
    sa.local_id, sa.remote_id = own_identity(connection, sa.local), peer.identity
    secret = shared_secret(sa.context.configuration, sa.local_id, peer.identity)
    if secret is None:
        detail = f"no secret for {sa.local_id} and {peer.identity}: add one with these ids to secrets"
        return _refuse(sa, Because.NO_SECRET, detail, now)
    if not peer_auth_is_valid(sa, secret, peer, proof):
        detail = f"AUTH of {peer.identity} does not verify: check that the secret is the same on both sides"
        return _refuse(sa, Because.AUTHENTICATION, detail, now)
    if refused_as_duplicate(sa):
        return _refuse(sa, Because.NOT_UNIQUE, f"{peer.identity} already has an IKE SA and unique = keep", now)
    return _accept(sa, payloads, secret, now)


def _accept(sa: IkeSa, payloads: Payloads, secret: bytes, now: float) -> Payloads:
    assert sa.local_id is not None
    established(sa, now)
    enforce(sa, now, initial_contact=notify(payloads, NotifyType.INITIAL_CONTACT) is not None)
    announce(sa)
    proof = (IdPayload(False, sa.local_id), AuthPayload(SHARED_KEY_MIC, own_auth(sa, secret)))
    if find(payloads, SaPayload) is None:
        return proof
    return (*proof, *_first_child(sa, payloads, now))


def _first_child(sa: IkeSa, payloads: Payloads, now: float) -> Payloads:
    """The child, or why there is none; the IKE SA stays either way (RFC 7296 1.2)."""
    granted = child_create.grant(sa, payloads, in_auth=True)
    if isinstance(granted, Refusal):
        sa.reject(granted.notify, granted.because, granted.why, now)
        return (granted.payload(),)
    spec, reply = granted
    install(sa, spec, now, outbound=True)
    return reply


def _connection(sa: IkeSa, peer: Identity, wanted: Identity | None) -> Connection | None:
    """By addresses, then by identities; and the suite in use must be one this connection allows."""
    fitting = candidates(sa.context.configuration, sa.local, sa.remote)
    ordered = sorted(fitting, key=lambda c: c.name != sa.connection.name)
    matching = (c for c in ordered if fits_identities(c, sa.local, peer, wanted) and _allows(c, sa.proposal))
    return min(matching, key=lambda c: definite(c.remote.id) is None, default=None)


def _allows(connection: Connection, chosen: Proposal | None) -> bool:
    return chosen is not None and not isinstance(select(connection.proposals, (chosen,)), Mismatch)


def _refuse(sa: IkeSa, because: Because, detail: str, now: float) -> Payloads:
    """One answer for every reason: a stranger learns nothing about who is configured here."""
    assert sa.state is IkeState.HALF_OPEN
    refusal = Refusal(NotifyType.AUTHENTICATION_FAILED, because, detail)
    sa.reject(refusal.notify, because, detail, now)
    close_sa(sa, detail, now, Ending.OURS, lingering=True)
    return (refusal.payload(),)
