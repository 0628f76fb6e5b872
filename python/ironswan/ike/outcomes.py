"""Sentences for people: how an operation ended and what to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike.types import Outcome
from ironswan.policy.proposals import proposal_text
from ironswan.policy.transforms import Proposal
from ironswan.wire.numbers import NotifyType

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa


def notify_name(notify: int) -> str:
    """The RFC's name of a notify type, or its number."""
    try:
        return NotifyType(notify).name
    except ValueError:
        return f"notify {notify}"


def timed_out(sa: IkeSa) -> Outcome:
    """The peer did not answer."""
    tries = sa.context.settings.retransmit_tries + 1
    return Outcome(
        "timeout",
        f"no answer from {sa.remote} after {tries} tries: check the address, that the peer runs, "
        "and that UDP ports 500 and 4500 pass",
    )


def peer_refused(sa: IkeSa, notify: int, offered: tuple[Proposal, ...] = (), what: str = "the request") -> Outcome:
    """The peer answered with an error notification."""
    name = notify_name(notify)
    ids = f"{sa.local_id} and {sa.remote_id or sa.connection.remote.id or sa.remote.address}"
    hints = {
        NotifyType.AUTHENTICATION_FAILED: (
            f"the peer refused our authentication ({name}): check that the secret for {ids} is the same on both sides, "
            "and that the identities are those the peer expects"
        ),
        NotifyType.NO_PROPOSAL_CHOSEN: (
            f"the peer accepted none of our proposals ({name}) for {what}: we offered {_texts(offered)}; "
            "its log names what it allows"
        ),
        NotifyType.TS_UNACCEPTABLE: (
            f"the peer accepted none of our traffic selectors ({name}) for {what}: "
            "local_ts here must overlap remote_ts there, and the reverse"
        ),
    }
    text = hints.get(NotifyType(notify)) if notify in NotifyType._value2member_map_ else None
    return Outcome("peer_refused", text or f"the peer refused {what} ({name})", notify)


def _texts(proposals: tuple[Proposal, ...]) -> str:
    return ", ".join(proposal_text(p) for p in proposals) or "none"
