"""What the gateway never agrees on: AH, and keys written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ironswan.policy.proposals import Mismatch, default_proposals, select
from ironswan.policy.transforms import Integ, Proposal, Protocol, Transform, TransformType


def test_proposals_of_ah_are_not_chosen() -> None:
    """E30: the gateway carries ESP only; an offer of AH, alone or beside ESP, is passed over."""
    code = Transform(TransformType.INTEG, Integ.HMAC_SHA2_256_128)
    ah = Proposal(Protocol.AH, (code,), number=1, spi=bytes(4))
    ours = default_proposals(Protocol.ESP)
    assert isinstance(select(ours, [ah]), Mismatch)
    esp = replace(ours[0], number=2, spi=bytes(4))
    chosen = select(ours, [ah, esp])
    assert not isinstance(chosen, Mismatch)
    assert chosen.chosen.number == 2


@pytest.mark.parametrize("protocol", [Protocol.ESP, Protocol.IKE])
def test_disguised_ah_is_not_chosen_either(protocol: Protocol) -> None:
    ours = default_proposals(protocol)
    assert isinstance(select(ours, [replace(ours[0], protocol=Protocol.AH)]), Mismatch)
