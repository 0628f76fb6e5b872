"""What an operator asked for, as values: the peer authorization database and the policies of each peer (RFC 4301 4.4).

Times are seconds, volumes octets, counts packets; 0 means "no limit" unless said otherwise. No file syntax, no wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ironswan.policy.identity import Identity
from ironswan.policy.selectors import SelectorTemplate
from ironswan.policy.transforms import Proposal


class StartAction(StrEnum):
    """What happens to a child when its configuration is loaded; `trap|start` does both."""

    NONE = "none"
    TRAP = "trap"
    START = "start"
    TRAP_START = "trap|start"


class EndAction(StrEnum):
    """What follows the end of a child: the peer closed or lost it, or the IKE SA expired (`close_action`); the peer was
    found dead (`dpd_action`)."""

    NONE = "none"
    TRAP = "trap"
    START = "start"


class Mode(StrEnum):
    """IPsec mode of a Child SA."""

    TUNNEL = "tunnel"
    TRANSPORT = "transport"


class PerCpuSas(StrEnum):
    """Whether each worker has a Child SA of its own (RFC 9611); `encap` gives each its own UDP source port as well."""

    NO = "no"
    YES = "yes"
    ENCAP = "encap"


class CopyDscp(StrEnum):
    """Between which headers of a tunnel the DSCP is copied: to the outer one, to the inner one, both or neither."""

    OUT = "out"
    IN = "in"
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True)
class ChildPolicy:
    """One child of a connection: what it protects, with what, and for how long."""

    name: str
    local_ts: tuple[SelectorTemplate, ...]
    remote_ts: tuple[SelectorTemplate, ...]
    esp_proposals: tuple[Proposal, ...]
    mode: Mode = Mode.TUNNEL
    start_action: StartAction = StartAction.NONE
    close_action: EndAction = EndAction.NONE
    dpd_action: EndAction = EndAction.NONE
    rekey_time: float = 3600.0
    life_time: float = 3960.0
    rand_time: float = 360.0
    rekey_bytes: int = 0
    life_bytes: int = 0
    rekey_packets: int = 0
    life_packets: int = 0
    replay_window: int = 32
    sha256_96: bool = False
    copy_ecn: bool = True
    copy_dscp: CopyDscp = CopyDscp.OUT
    per_cpu_sas: PerCpuSas = PerCpuSas.NO
    interface: str = ""

    @property
    def per_resource(self) -> bool:
        """Whether further Child SAs for single resources are wanted and granted."""
        return self.per_cpu_sas is not PerCpuSas.NO


@dataclass(frozen=True, slots=True)
class LocalAuth:
    """How we prove who we are. `id` None: our own address."""

    auth: str = "psk"
    id: Identity | None = None


@dataclass(frozen=True, slots=True)
class RemoteAuth:
    """How the peer must prove who it is. `id` None: anyone."""

    auth: str = "psk"
    id: Identity | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One peer: where it is, how it authenticates, what may be set up with it.

    `local_addrs` and `remote_addrs` are texts as configured: `%any`, an address, a prefix, a range or a host name.
    """

    name: str
    children: tuple[ChildPolicy, ...]
    proposals: tuple[Proposal, ...]
    local_addrs: tuple[str, ...] = ("%any",)
    remote_addrs: tuple[str, ...] = ("%any",)
    local_port: int = 500
    remote_port: int = 500
    local: LocalAuth = LocalAuth()
    remote: RemoteAuth = RemoteAuth()
    encap: bool = True
    path_mtu: int = 0
    """Octets of the longest packet on the way to the peer; 0: as the route and routers say."""
    fragmentation: str = "yes"
    dpd_delay: float = 0.0
    keyingtries: int = 1
    unique: str = "no"
    rekey_time: float = 14400.0
    over_time: float = 1440.0
    rand_time: float = 1440.0

    def child(self, name: str) -> ChildPolicy | None:
        """The child of that name, if there is one."""
        return next((c for c in self.children if c.name == name), None)


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A pre-shared key and the identities it belongs to; no identities: anyone. The key is in no repr."""

    name: str
    secret: bytes = field(repr=False)
    ids: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Gateway-wide values, named as strongSwan's `charon.*` options are."""

    retransmit_timeout: float = 4.0
    retransmit_base: float = 1.8
    retransmit_tries: int = 5
    keep_alive: float = 20.0
    half_open_timeout: float = 30.0
    cookie_threshold: int = 30
    fragment_size: int = 1280
    max_message_size: int = 65535
    delete_rekeyed_delay: float = 5.0
    port: int = 500
    port_nat_t: int = 4500
    mss_clamp: bool = True
    workers: int = 1
    """0: as many as there are CPUs."""
    nice: int = -10
    """Niceness of the threads that carry packets."""
    real_time: bool = True
    """Whether these threads may run before all ordinary ones."""
    busy_poll: bool = True
    """Whether these threads may look for more before they sleep."""
    affinity: bool = True
    """Whether the one that receives keeps to the processor on which its packets arrive."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything one gateway was told, checked and complete."""

    connections: tuple[Connection, ...] = ()
    secrets: tuple[SharedSecret, ...] = ()
    settings: Settings = Settings()

    def connection(self, name: str) -> Connection | None:
        """The connection of that name, if there is one."""
        return next((c for c in self.connections if c.name == name), None)
