"""What the engine tells the gateway, in the order it must be acted on. Keys are in no repr."""

from __future__ import annotations

from dataclasses import dataclass, field

from ironswan.ike.types import Endpoint, Outcome, Reject
from ironswan.policy.connection import ChildPolicy, EndAction, Mode
from ironswan.policy.selectors import Address, TrafficSelector

__all__ = [
    "ChildInstalled",
    "ChildOutboundReady",
    "ChildOutboundRemoved",
    "ChildRemoved",
    "ChildSa",
    "EndpointChanged",
    "Event",
    "IkeEstablished",
    "IkeRekeyed",
    "IkeRemoved",
    "OperationDone",
    "Outcome",
    "Reject",
    "Rejected",
]


@dataclass(frozen=True, slots=True)
class ChildSa:
    """Everything the data plane needs for a pair of ESP SAs. `keymat_*` is cipher key, then salt (RFC 7296 2.17).

    `worker` has it for its own; `per_resource`: it serves all, and workers may have others beside it (RFC 9611).
    `initiator` is our role in the IKE SA.
    `nat_original`: source and destination in the peer's packets, where a NAT changes them (transport mode, 2.23.1).
    """

    child_id: int
    ike_id: int
    connection: str
    name: str
    inbound_spi: int
    outbound_spi: int
    suite: str
    keymat_in: bytes = field(repr=False)
    keymat_out: bytes = field(repr=False)
    ts_local: tuple[TrafficSelector, ...]
    ts_remote: tuple[TrafficSelector, ...]
    mode: Mode
    esn: bool
    replay_window: int
    local: Endpoint
    remote: Endpoint
    udp_encap: bool
    policy: ChildPolicy
    replaces: int | None = None
    worker: int | None = None
    per_resource: bool = False
    initiator: bool = False
    nat_original: tuple[Address, Address] | None = None


@dataclass(frozen=True, slots=True)
class ChildInstalled:
    """Install inbound now; if `outbound`, outbound too, and point the policy at it; else await ChildOutboundReady."""

    child: ChildSa
    outbound: bool


@dataclass(frozen=True, slots=True)
class ChildOutboundReady:
    """The peer is known to receive on this SA: send on it from now on."""

    child_id: int


@dataclass(frozen=True, slots=True)
class ChildOutboundRemoved:
    """Stop sending on this SA; its inbound half stays until ChildRemoved."""

    child_id: int


@dataclass(frozen=True, slots=True)
class ChildRemoved:
    """The SA is gone, both halves. `end_action` says what its policy asks for now."""

    child_id: int
    name: str
    connection: str
    ike_id: int
    reason: str
    end_action: EndAction


@dataclass(frozen=True, slots=True)
class IkeEstablished:
    """Both sides authenticated."""

    ike_id: int
    connection: str
    local: Endpoint
    remote: Endpoint
    local_id: str
    remote_id: str
    suite: str
    initiator: bool


@dataclass(frozen=True, slots=True)
class IkeRekeyed:
    """IKE SA `new` inherited the children of `old`."""

    old: int
    new: int


@dataclass(frozen=True, slots=True)
class IkeRemoved:
    """An established IKE SA is gone; `end_action_children` lists (child name, action) of the children it took along."""

    ike_id: int
    connection: str
    reason: str
    end_action_children: tuple[tuple[str, EndAction], ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointChanged:
    """The IKE SA's addresses or ports moved; outbound SAs of its children follow."""

    ike_id: int
    local: Endpoint
    remote: Endpoint


@dataclass(frozen=True, slots=True)
class OperationDone:
    """An operation started through the manager ended."""

    operation: int
    ok: bool
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something a peer sent was refused; for log and counters."""

    reject: Reject
    remote: Endpoint


Event = (
    ChildInstalled
    | ChildOutboundReady
    | ChildOutboundRemoved
    | ChildRemoved
    | IkeEstablished
    | IkeRekeyed
    | IkeRemoved
    | EndpointChanged
    | OperationDone
    | Rejected
)
