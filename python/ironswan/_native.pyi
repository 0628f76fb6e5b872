"""Types of the native module. Addresses are text, SPIs and handles are ints, packets come in batches."""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import ClassVar, Literal, final

from typing_extensions import Buffer

from ironswan.esp import Status
from ironswan.policy.selectors import TrafficSelector

__all__ = [
    "Acquire",
    "AhInboundSa",
    "AhOutboundSa",
    "DataPlane",
    "IkeDatagram",
    "InboundSa",
    "InterfaceGone",
    "OutboundSa",
    "PacketBatch",
    "Results",
    "SaNotice",
    "SuiteInfo",
    "__version__",
    "suites",
    "udp_flood",
    "udp_receive",
    "udp_send",
    "udp_send_mix",
    "udp_send_spread",
]

__version__: str

_Selector = tuple[int, str, str, int, int]

@final
class IkeDatagram:
    """An IKE message received, without the non-ESP marker."""

    __match_args__: ClassVar[tuple[str, str, str, str, str]]
    def __new__(
        cls, local_addr: str, local_port: int, remote_addr: str, remote_port: int, data: bytes
    ) -> IkeDatagram: ...
    @property
    def local_addr(self) -> str: ...
    @property
    def local_port(self) -> int: ...
    @property
    def remote_addr(self) -> str: ...
    @property
    def remote_port(self) -> int: ...
    @property
    def data(self) -> bytes: ...

@final
class Acquire:
    """A policy without SA has traffic, or `worker`, which has no SA of its own; ports are 0 where there are none."""

    __match_args__: ClassVar[tuple[str, str, str, str, str, str, str]]
    def __new__(
        cls, policy_id: int, src: str, dst: str, protocol: int, sport: int, dport: int, worker: int | None = None
    ) -> Acquire: ...
    @property
    def policy_id(self) -> int: ...
    @property
    def src(self) -> str: ...
    @property
    def dst(self) -> str: ...
    @property
    def protocol(self) -> int: ...
    @property
    def sport(self) -> int: ...
    @property
    def dport(self) -> int: ...
    @property
    def worker(self) -> int | None: ...

@final
class SaNotice:
    """Something happened to an SA, or, with SPI 0, to the data plane.

    `kind` is first_packet, soft_bytes, hard_bytes, soft_packets, hard_packets, sequence_soft, peer_moved, or
    worker_failed: the data plane has stopped and passes nothing until it is closed and made anew.
    """

    __match_args__: ClassVar[tuple[str, str, str, str]]
    def __new__(cls, kind: str, spi: int, remote_addr: str, remote_port: int) -> SaNotice: ...
    @property
    def kind(self) -> str: ...
    @property
    def spi(self) -> int: ...
    @property
    def remote_addr(self) -> str: ...
    @property
    def remote_port(self) -> int: ...

@final
class InterfaceGone:
    """Somebody deleted a named interface: nothing is carried for it any more."""

    __match_args__: ClassVar[tuple[str]]
    def __new__(cls, name: str) -> InterfaceGone: ...
    @property
    def name(self) -> str: ...

@final
class DataPlane:
    """The packet path: a TUN device, UDP sockets, SAs and policies, carried by threads that never take the GIL.

    Made in the network namespace of the calling thread. Raises OSError when a device or port cannot be had, and
    ValueError when asked for what does not exist or makes no sense. After `close` every method but `close` raises
    RuntimeError.
    """

    def __new__(
        cls,
        *,
        tun_name: str = "ipsec0",
        mtu: int = 1422,
        workers: int = 1,
        ike_port: int = 500,
        nat_t_port: int = 4500,
        mark: int = 0,
        offloads: str = "auto",
        nice: int = 0,
        real_time: bool = False,
        busy_poll: bool = False,
        affinity: bool = False,
    ) -> DataPlane: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[IkeDatagram | Acquire | SaNotice | InterfaceGone]: ...
    def send(self, local_addr: str, local_port: int, remote_addr: str, remote_port: int, data: bytes) -> bool: ...
    def admit_ike(self, spi: bytes) -> None: ...
    def dismiss_ike(self, spi: bytes) -> None: ...
    def allocate_spi(self, worker: int | None = None) -> int: ...
    def release_spi(self, spi: int) -> None: ...
    def install_inbound(
        self,
        spi: int,
        suite: str,
        keymat: bytes,
        *,
        esn: bool,
        replay_window: int,
        remote_ts: list[_Selector],
        local_ts: list[_Selector],
        remote_addr: str,
        remote_port: int,
        soft_packets: int = 0,
        hard_packets: int = 0,
        soft_bytes: int = 0,
        hard_bytes: int = 0,
        mode: str = "tunnel",
        nat_original: tuple[str, str] | None = None,
        interface: int = 0,
        copy_ecn: bool = True,
        copy_dscp: str = "out",
    ) -> None: ...
    def remove_inbound(self, spi: int) -> None: ...
    def install_outbound(
        self,
        spi: int,
        suite: str,
        keymat: bytes,
        *,
        esn: bool,
        local_addr: str,
        local_port: int,
        remote_addr: str,
        remote_port: int,
        soft_packets: int = 0,
        hard_packets: int = 0,
        soft_bytes: int = 0,
        hard_bytes: int = 0,
        key_owner: int = 0,
        udp_encap: bool = True,
        mode: str = "tunnel",
        copy_ecn: bool = True,
        copy_dscp: str = "out",
    ) -> int: ...
    def remove_outbound(self, handle: int) -> None: ...
    def update_endpoint(
        self,
        handle: int,
        local_addr: str,
        local_port: int,
        remote_addr: str,
        remote_port: int,
        *,
        udp_encap: bool = True,
    ) -> None: ...
    def set_next_hop(self, handle: int, interface: int, mtu: int, address: bytes | None) -> None: ...
    def set_path_mtu(self, handle: int, mtu: int) -> int: ...
    def clamp_mss(self, mtu: int) -> None: ...
    def add_policy(
        self,
        policy_id: int,
        local_ts: list[_Selector],
        remote_ts: list[_Selector],
        *,
        priority: int = 0,
        interface: int = 0,
    ) -> None: ...
    def add_interface(self, name: str, mtu: int) -> int: ...
    def remove_interface(self, interface: int) -> None: ...
    def bind_policy(self, policy_id: int, handle: int | None, *, worker: int | None = None) -> None: ...
    def invite(self, policy_id: int, worker: int) -> None: ...
    def remove_policy(self, policy_id: int) -> None: ...
    def counters(self) -> dict[str, int]: ...
    def batches(self) -> dict[str, list[int]]: ...
    def worker_batches(self) -> list[dict[str, list[int]]]: ...
    def inbound_drops(self, spi: int) -> dict[str, int]: ...
    def outbound_drops(self, handle: int) -> dict[str, int]: ...
    def worker_counters(self) -> list[dict[str, int]]: ...
    def workers(self) -> int: ...
    def inbound_counters(self, spi: int) -> tuple[int, int]: ...
    def outbound_counters(self, handle: int) -> tuple[int, int]: ...
    def failure(self) -> str | None: ...
    def offloads(self) -> dict[str, bool]: ...
    def offloads_asked(self) -> dict[str, bool]: ...
    def segmentation_refused(self, handle: int) -> bool: ...
    def inbound_window(self, spi: int) -> tuple[int, int]: ...
    def outbound_sequence(self, handle: int) -> int: ...
    def interface(self) -> tuple[str, int]: ...
    def close(self) -> None: ...

def udp_flood(sock_fd: int, payloads: list[bytes], seconds: float, rate: int = 0) -> int: ...
def udp_send(sock_fd: int, size: int, seconds: float, rate: int = 0) -> int: ...
def udp_send_mix(sock_fd: int, sizes: list[int], seconds: float) -> int: ...
def udp_send_spread(
    sock_fd: int, size: int, seconds: float, *, first: str, addresses: int, in_a_row: int, port: int
) -> int: ...
def udp_receive(sock_fd: int, seconds: float) -> int: ...

_Mode = Literal["tunnel", "transport"]
_Framing = Literal["esp", "udp", "ip"]
_Dont_Fragment = Literal["copy", "set", "clear"]
_Selectors = Sequence[tuple[str | TrafficSelector, str | TrafficSelector]]

@final
class PacketBatch:
    """Packets one behind the other in one read-only buffer, which memoryview and NumPy see without a copy.

    Made of an iterable of contiguous buffers. Raises TypeError or BufferError on anything else.
    """

    def __new__(cls, packets: Iterable[Buffer] | None = None) -> PacketBatch: ...
    @staticmethod
    def from_buffer(buffer: Buffer, lengths: Sequence[int]) -> PacketBatch: ...
    @staticmethod
    def from_pcap(path: str | PathLike[str]) -> PacketBatch: ...
    @property
    def offsets(self) -> list[int]: ...
    @property
    def lengths(self) -> list[int]: ...
    @property
    def nbytes(self) -> int: ...
    def tolist(self) -> list[bytes]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> memoryview: ...
    def __iter__(self) -> Iterator[memoryview]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Results:
    """What came of a batch: as many entries everywhere as packets went in."""

    @property
    def packets(self) -> PacketBatch: ...
    @property
    def next_headers(self) -> bytes: ...
    @property
    def statuses(self) -> list[Status]: ...
    @property
    def status_codes(self) -> bytes: ...
    @property
    def sequence_numbers(self) -> list[int]: ...
    @property
    def ok(self) -> bool: ...
    def __len__(self) -> int: ...

@final
class OutboundSa:
    """An outbound ESP SA (RFC 4303 3.3), for any number of threads.

    `keymat` is encryption key, salt and integrity key in one. `tunnel` holds the outer addresses, source first, and
    `udp_encap` the ports. `sequence_number` is the last one sent. `dscp` is 0..63, or None to copy; `ecn` copies ECN
    (RFC 6040 normal mode); `df` sets the outer DF bit. `tfc` pads inner packets to so many octets (RFC 4303 2.7);
    `limits` says how many packets and octets, counted as in `counters`, may leave. Raises ValueError on what cannot be,
    and RuntimeError in a forked child, as every SA.
    """

    def __new__(
        cls,
        spi: int,
        suite: str,
        keymat: bytes,
        *,
        mode: _Mode = "tunnel",
        tunnel: tuple[str, str] | None = None,
        udp_encap: tuple[int, int] | None = None,
        esn: bool = False,
        sequence_number: int = 0,
        dscp: int | None = None,
        ecn: bool = True,
        df: _Dont_Fragment = "copy",
        hop_limit: int = 64,
        tfc: int | None = None,
        limits: tuple[int, int] | None = None,
    ) -> OutboundSa: ...
    def encap(self, batch: PacketBatch, *, framing: _Framing = "esp", next_header: int = 61) -> Results: ...
    def dummies(self, count: int, length: int, *, framing: _Framing = "esp") -> Results: ...
    def overhead(self, length: int, *, framing: _Framing = "esp") -> int: ...
    @property
    def spi(self) -> int: ...
    @property
    def suite(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def sequence_number(self) -> int: ...
    @property
    def counters(self) -> dict[str, int]: ...

@final
class InboundSa:
    """An inbound ESP SA (RFC 4303 3.4), for any number of threads.

    `replay_window` is 32..65536 packets; nothing up to `sequence_number` is accepted. `selectors` are pairs of source
    and destination (RFC 4301 5.2): decapsulated packets that fit none are dropped; None takes everything. `nat_oa`
    holds the peer's addresses before a NAT (RFC 3948 3.1.2), for transport mode. Raises ValueError on what cannot be.
    """

    def __new__(
        cls,
        spi: int,
        suite: str,
        keymat: bytes,
        *,
        mode: _Mode = "tunnel",
        replay_window: int = 64,
        esn: bool = False,
        sequence_number: int = 0,
        selectors: _Selectors | None = None,
        nat_oa: tuple[str, str] | None = None,
        ecn: bool = True,
    ) -> InboundSa: ...
    def decap(self, batch: PacketBatch, *, framing: _Framing = "esp") -> Results: ...
    @property
    def spi(self) -> int: ...
    @property
    def suite(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def sequence_number(self) -> int: ...
    @property
    def replay_window(self) -> int: ...
    @property
    def window(self) -> int: ...
    @property
    def counters(self) -> dict[str, int]: ...

@final
class AhOutboundSa:
    """An outbound AH SA (RFC 4302 3.3): whole IP packets in and out. Arguments are as for OutboundSa.

    `suite` names an integrity algorithm; `keymat` is its key, and GMAC's salt behind it.
    """

    def __new__(
        cls,
        spi: int,
        suite: str,
        keymat: bytes,
        *,
        mode: _Mode = "tunnel",
        tunnel: tuple[str, str] | None = None,
        esn: bool = False,
        sequence_number: int = 0,
        dscp: int | None = None,
        ecn: bool = True,
        df: _Dont_Fragment = "copy",
        hop_limit: int = 64,
        limits: tuple[int, int] | None = None,
    ) -> AhOutboundSa: ...
    def encap(self, batch: PacketBatch) -> Results: ...
    @property
    def spi(self) -> int: ...
    @property
    def suite(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def sequence_number(self) -> int: ...
    @property
    def counters(self) -> dict[str, int]: ...

@final
class AhInboundSa:
    """An inbound AH SA (RFC 4302 3.4): whole IP packets in and out. Arguments are as for InboundSa."""

    def __new__(
        cls,
        spi: int,
        suite: str,
        keymat: bytes,
        *,
        mode: _Mode = "tunnel",
        replay_window: int = 64,
        esn: bool = False,
        sequence_number: int = 0,
        selectors: _Selectors | None = None,
        ecn: bool = True,
    ) -> AhInboundSa: ...
    def decap(self, batch: PacketBatch) -> Results: ...
    @property
    def spi(self) -> int: ...
    @property
    def suite(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def sequence_number(self) -> int: ...
    @property
    def replay_window(self) -> int: ...
    @property
    def window(self) -> int: ...
    @property
    def counters(self) -> dict[str, int]: ...

@final
class SuiteInfo:
    """What there is to know of a suite. Lengths are octets, strength is bits."""

    @property
    def keyword(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def encr_id(self) -> int | None: ...
    @property
    def integ_id(self) -> int | None: ...
    @property
    def key_len(self) -> int: ...
    @property
    def salt_len(self) -> int: ...
    @property
    def integrity_key_len(self) -> int: ...
    @property
    def keymat_len(self) -> int: ...
    @property
    def iv_len(self) -> int: ...
    @property
    def icv_len(self) -> int: ...
    @property
    def block(self) -> int: ...
    @property
    def rfc(self) -> str: ...
    @property
    def strength(self) -> int: ...
    @property
    def default(self) -> bool: ...
    @property
    def legacy(self) -> bool: ...

def suites() -> list[SuiteInfo]: ...
