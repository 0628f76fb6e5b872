"""The Security Association payload (RFC 7296 3.3): proposals of transforms."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ironswan.policy.transforms import Proposal, Protocol, Transform
from ironswan.wire.errors import WireError

_PROPOSAL = struct.Struct("!BBHBBBB")
_TRANSFORM = struct.Struct("!BBHBBH")
_MORE_PROPOSALS, _MORE_TRANSFORMS = 2, 3
_KEY_LENGTH = 14
_FIXED_LENGTH_ATTRIBUTE = 0x8000
# Several times what implementations offer. Reading and choosing take time for each, and any stranger may ask for it, so
# a payload with more is refused there and then, not read to its end.
MAX_PROPOSALS, MAX_TRANSFORMS = 64, 512


@dataclass(frozen=True, slots=True)
class SaPayload:
    """The proposals, in the order offered."""

    proposals: tuple[Proposal, ...]


def read(body: bytes) -> SaPayload:
    """Parse the proposals; lengths and counts must agree (I07). Raises WireError, also when there are too many."""
    proposals: list[Proposal] = []
    offset = transform_count = 0
    more = True
    while more:
        if len(proposals) == MAX_PROPOSALS:
            raise WireError(f"more than {MAX_PROPOSALS} proposals")
        if len(body) - offset < _PROPOSAL.size:
            raise WireError("a proposal is cut short")
        last, _, length, number, protocol, spi_size, count = _PROPOSAL.unpack_from(body, offset)
        if last not in (0, _MORE_PROPOSALS):
            raise WireError(f"last substructure {last} of a proposal is neither 0 nor 2")
        if length < _PROPOSAL.size + spi_size or offset + length > len(body):
            raise WireError(f"proposal length {length} does not fit")
        transform_count += count
        if transform_count > MAX_TRANSFORMS:
            raise WireError(f"more than {MAX_TRANSFORMS} transforms")
        start = offset + _PROPOSAL.size
        transforms = _read_transforms(body[start + spi_size : offset + length], count)
        known = protocol in (Protocol.IKE, Protocol.AH, Protocol.ESP)
        proposals.append(
            Proposal(
                Protocol(protocol) if known else Protocol.NONE,
                transforms,
                number,
                bytes(body[start : start + spi_size]),
            )
        )
        offset += length
        more = last == _MORE_PROPOSALS
    if offset != len(body):
        raise WireError("octets follow the last proposal")
    return SaPayload(tuple(proposals))


def _read_transforms(body: bytes, count: int) -> tuple[Transform, ...]:
    transforms: list[Transform] = []
    offset = 0
    for index in range(count):
        if len(body) - offset < _TRANSFORM.size:
            raise WireError("a transform is cut short")
        last, _, length, kind, _, number = _TRANSFORM.unpack_from(body, offset)
        if last != (0 if index == count - 1 else _MORE_TRANSFORMS):
            raise WireError(f"transform {index + 1} of {count} has last substructure {last}")
        if length < _TRANSFORM.size or offset + length > len(body):
            raise WireError(f"transform length {length} does not fit")
        key_length, known = _read_attributes(body[offset + _TRANSFORM.size : offset + length])
        transforms.append(Transform(kind, number, key_length, known))
        offset += length
    if offset != len(body):
        raise WireError("octets follow the last transform")
    return tuple(transforms)


def _read_attributes(body: bytes) -> tuple[int | None, bool]:
    """The key length in bits, and whether every attribute was one that we understand (I45)."""
    key_length: int | None = None
    known = True
    offset = 0
    while offset < len(body):
        if len(body) - offset < 4:
            raise WireError("a transform attribute is cut short")
        kind, value = struct.unpack_from("!HH", body, offset)
        offset += 4
        if kind == _FIXED_LENGTH_ATTRIBUTE | _KEY_LENGTH and key_length is None:
            key_length = value
            continue
        known = False
        if not kind & _FIXED_LENGTH_ATTRIBUTE:
            if offset + value > len(body):
                raise WireError(f"attribute length {value} does not fit")
            offset += value
    return key_length, known


def write(payload: SaPayload) -> bytes:
    """The payload's body; proposals carry their own numbers."""
    parts: list[bytes] = []
    for index, proposal in enumerate(payload.proposals):
        transforms = b"".join(
            _write_transform(t, last=i == len(proposal.transforms) - 1) for i, t in enumerate(proposal.transforms)
        )
        length = _PROPOSAL.size + len(proposal.spi) + len(transforms)
        last = 0 if index == len(payload.proposals) - 1 else _MORE_PROPOSALS
        head = _PROPOSAL.pack(
            last, 0, length, proposal.number, proposal.protocol, len(proposal.spi), len(proposal.transforms)
        )
        parts.append(head + proposal.spi + transforms)
    return b"".join(parts)


def _write_transform(transform: Transform, *, last: bool) -> bytes:
    attribute = b""
    if transform.key_length is not None:
        attribute = struct.pack("!HH", _FIXED_LENGTH_ATTRIBUTE | _KEY_LENGTH, transform.key_length)
    length = _TRANSFORM.size + len(attribute)
    return _TRANSFORM.pack(0 if last else _MORE_TRANSFORMS, 0, length, transform.type, 0, transform.id) + attribute
