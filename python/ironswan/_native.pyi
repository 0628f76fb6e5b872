"""Types of the native module. Addresses are text, SPIs and handles are ints; no packet ever enters Python."""

from typing import ClassVar, final

__all__ = [
    "Acquire",
    "DataPlane",
    "IkeDatagram",
    "SaNotice",
    "__version__",
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
    """A policy without SA has traffic; ports are 0 where the packet has none."""

    __match_args__: ClassVar[tuple[str, str, str, str, str, str]]
    def __new__(cls, policy_id: int, src: str, dst: str, protocol: int, sport: int, dport: int) -> Acquire: ...
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
    ) -> DataPlane: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[IkeDatagram | Acquire | SaNotice]: ...
    def send(self, local_addr: str, local_port: int, remote_addr: str, remote_port: int, data: bytes) -> bool: ...
    def allocate_spi(self) -> int: ...
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
    ) -> int: ...
    def remove_outbound(self, handle: int) -> None: ...
    def update_endpoint(
        self, handle: int, local_addr: str, local_port: int, remote_addr: str, remote_port: int
    ) -> None: ...
    def add_policy(
        self, policy_id: int, local_ts: list[_Selector], remote_ts: list[_Selector], *, priority: int = 0
    ) -> None: ...
    def bind_policy(self, policy_id: int, handle: int | None) -> None: ...
    def remove_policy(self, policy_id: int) -> None: ...
    def counters(self) -> dict[str, int]: ...
    def inbound_counters(self, spi: int) -> tuple[int, int]: ...
    def outbound_counters(self, handle: int) -> tuple[int, int]: ...
    def offloads(self) -> dict[str, bool]: ...
    def interface(self) -> tuple[str, int]: ...
    def close(self) -> None: ...

def udp_send(sock_fd: int, size: int, seconds: float, rate: int = 0) -> int: ...
def udp_send_mix(sock_fd: int, sizes: list[int], seconds: float) -> int: ...
def udp_send_spread(
    sock_fd: int, size: int, seconds: float, *, first: str, addresses: int, in_a_row: int, port: int
) -> int: ...
def udp_receive(sock_fd: int, seconds: float) -> int: ...
