"""Whatever octets come, the reader gives a message or a WireError."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ironswan.wire.encrypted import EncryptedFragment, EncryptedPayload
from ironswan.wire.errors import WireError
from ironswan.wire.message import read_message, read_payloads, write_payloads
from ironswan.wire.sa import SaPayload

CAPTURES = json.loads((Path(__file__).parents[1] / "vectors" / "ike_messages.json").read_text())["messages"]
MESSAGES = [bytes.fromhex(item["octets"]) for item in CAPTURES]


@given(st.binary(max_size=400))
def test_random_octets(octets):
    try:
        read_message(octets)
    except WireError as error:
        assert error.reason


@given(st.integers(0, 255), st.binary(max_size=200))
def test_random_chain_of_payloads(first, octets):
    try:
        read_payloads(first, octets)
    except WireError as error:
        assert error.reason


@given(st.sampled_from(MESSAGES), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8))
def test_real_messages_with_octets_changed(octets, changes):
    changed = bytearray(octets)
    for at, value in changes:
        changed[at % len(changed)] = value
    changed[24:28] = len(changed).to_bytes(4, "big")
    try:
        read_message(bytes(changed))
    except WireError as error:
        assert error.reason


@given(st.sampled_from(MESSAGES), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3))
def test_what_was_read_is_read_again_from_what_is_written(octets, changes):
    """Except SK and SKF, which are written sealed, and unknown attributes, which are never written."""
    changed = bytearray(octets)
    for at, value in changes:
        changed[at % len(changed)] = value
    changed[24:28] = len(changed).to_bytes(4, "big")
    try:
        payloads = read_message(bytes(changed)).payloads
    except WireError:
        return
    kept = tuple(p for p in payloads if not isinstance(p, EncryptedPayload | EncryptedFragment) and _known(p))
    assert read_payloads(*write_payloads(kept)) == kept


def _known(payload: object) -> bool:
    proposals = payload.proposals if isinstance(payload, SaPayload) else ()
    return all(t.attributes_known for p in proposals for t in p.transforms)
