"""Values that cross the engine's boundary: endpoints, datagrams, states, outcomes, status. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from ipaddress import ip_address
from typing import Literal, NamedTuple

from ironswan.policy.selectors import Address, TrafficSelector


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A UDP endpoint."""

    address: Address
    port: int

    @classmethod
    def parse(cls, address: str, port: int) -> Endpoint:
        """The endpoint of a literal address; raises ValueError if it is none."""
        return cls(ip_address(address), port)

    def __str__(self) -> str:
        """`address:port`, IPv6 in brackets."""
        text = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{text}:{self.port}"


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP payload, without the non-ESP marker: the gateway adds and strips it by port."""

    local: Endpoint
    remote: Endpoint
    data: bytes


class Packet(NamedTuple):
    """The packet that asked for a Child SA: addresses, protocol, ports (ICMP type and code in `sport`/`dport` as 0)."""

    src: Address
    dst: Address
    protocol: int
    sport: int
    dport: int


class IkeState(Enum):
    """Where an IKE SA stands; docs and the legality table use these names."""

    INIT_SENT = "init-sent"
    HALF_OPEN = "half-open"
    AUTH_SENT = "auth-sent"
    ESTABLISHED = "established"
    REKEYED = "rekeyed"
    REDUNDANT = "redundant"
    DELETING = "deleting"
    CLOSED = "closed"


class ChildState(Enum):
    """Where a Child SA stands."""

    INSTALLED = "installed"
    REKEYING = "rekeying"
    REKEYED = "rekeyed"
    DELETING = "deleting"
    DELETED = "deleted"


OutcomeKind = Literal["established", "deleted", "rekeyed", "peer_refused", "timeout", "local_refused", "closed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended: a word for programs, a sentence for people, the notify type if the peer sent one."""

    kind: OutcomeKind
    message: str
    notify: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the operator got what was asked for."""
        return self.kind in ("established", "deleted", "rekeyed")


class Because(StrEnum):
    """Why something a peer sent was refused; also the label of its counter."""

    MALFORMED = "malformed"
    BAD_VERSION = "bad_version"
    UNKNOWN_SPI = "unknown_spi"
    NO_CONNECTION = "no_connection"
    NO_PROPOSAL = "no_proposal"
    WRONG_KE = "wrong_ke"
    BAD_KE = "bad_ke"
    BAD_NONCE = "bad_nonce"
    COOKIE_NEEDED = "cookie_needed"
    HALF_OPEN_LIMIT = "half_open_limit"
    RETRY_LIMIT = "retry_limit"
    BAD_MESSAGE_ID = "bad_message_id"
    BAD_ICV = "bad_icv"
    UNPROTECTED = "unprotected"
    NOT_LEGAL = "not_legal"
    MISSING_PAYLOAD = "missing_payload"
    AUTHENTICATION = "authentication"
    NO_SECRET = "no_secret"  # noqa: S105
    UNKNOWN_IDENTITY = "unknown_identity"
    NOT_UNIQUE = "not_unique"
    SELECTORS = "selectors"
    MODE = "mode"
    CHILD_NOT_FOUND = "child_not_found"
    COLLISION = "collision"
    RESOURCES = "resources"
    PEER_REFUSED = "peer_refused"
    NOT_BEHIND_NAT = "not_behind_nat"
    NOT_OUR_OFFER = "not_our_offer"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Reject:
    """A refusal as data: the notify sent (None: silence), a machine word, a sentence."""

    notify: int | None
    because: Because
    detail: str


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """One Child SA as status shows it. Ages and the time to the next rekey are seconds; None: never.

    `worker` is the one that has it for its own (RFC 9611).
    """

    id: int
    name: str
    state: str
    inbound_spi: int
    outbound_spi: int
    suite: str
    ts_local: tuple[TrafficSelector, ...]
    ts_remote: tuple[TrafficSelector, ...]
    mode: str
    age: float
    rekey_in: float | None
    expires_in: float | None
    outbound: bool
    worker: int | None = None


@dataclass(frozen=True, slots=True)
class IkeSaStatus:
    """One IKE SA as status shows it."""

    id: int
    connection: str
    state: str
    initiator: bool
    spi_i: str
    spi_r: str
    local: Endpoint
    remote: Endpoint
    local_id: str
    remote_id: str
    suite: str
    age: float
    rekey_in: float | None
    expires_in: float | None
    local_natted: bool
    remote_natted: bool
    udp_encap: bool
    children: tuple[ChildStatus, ...]
