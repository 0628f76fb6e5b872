"""What a gateway may ask of a data plane, and what it hears back. Addresses are text, SPIs and handles are ints."""

from __future__ import annotations

from typing import Protocol

from ironswan._native import Acquire, IkeDatagram, InterfaceGone, SaNotice

__all__ = ["Acquire", "DataPlane", "IkeDatagram", "InterfaceGone", "Notice", "SaNotice", "Selector"]

Notice = IkeDatagram | Acquire | SaNotice | InterfaceGone
Selector = tuple[int, str, str, int, int]
"""Protocol (0 any), start and end address, start and end port (65535 and 0: OPAQUE)."""


class DataPlane(Protocol):
    """SAs, policies and sockets. Methods raise ValueError for what does not exist, RuntimeError after `close`."""

    def fileno(self) -> int:
        """Return a descriptor that is readable while `drain` has something."""

    def drain(self) -> list[Notice]:
        """Take notices: those about SAs and acquires, then messages of admitted IKE SAs, some others last.

        `fileno` stays readable while there are more.
        """

    def send(self, local_addr: str, local_port: int, remote_addr: str, remote_port: int, data: bytes) -> bool:
        """Send an IKE message (marker added on the shared port) or a keepalive; False when the kernel refuses."""

    def admit_ike(self, spi: bytes) -> None:
        """Let messages of the IKE SA with this SPI of ours, eight octets, through a flood of others."""

    def dismiss_ike(self, spi: bytes) -> None:
        """Take that back; unknown SPIs are ignored."""

    def allocate_spi(self, worker: int | None = None) -> int:
        """Reserve an inbound SPI whose packets go to a worker; to each in turn when none is named."""

    def release_spi(self, spi: int) -> None:
        """Give an inbound SPI back, with the SA on it; unknown ones are ignored."""

    def install_inbound(
        self,
        spi: int,
        suite: str,
        keymat: bytes,
        *,
        esn: bool,
        replay_window: int,
        remote_ts: list[Selector],
        local_ts: list[Selector],
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
    ) -> None:
        """Install an inbound SA on an allocated SPI; limits of 0 are none.

        `mode` "transport" takes selectors of one address a side; `nat_original` are source and destination in the
        peer's packets where a NAT changes them. `interface` is where its packets come out. In tunnel mode inner packets
        have ECN from outer headers with `copy_ecn` (RFC 6040), and the DSCP with `copy_dscp` "in" or "yes".
        """

    def remove_inbound(self, spi: int) -> None:
        """Remove an inbound SA and give its SPI back; unknown ones are ignored."""

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
    ) -> int:
        """Install an outbound SA and return its handle; `key_owner` is the inbound SPI of the pair.

        `udp_encap`: ESP in UDP between these ports (RFC 3948), else as protocol 50 between the addresses.
        A local port of 0 is a port that only the worker that sends has, for receivers that spread load by ports.
        In tunnel mode outer headers have ECN from inner ones with `copy_ecn`, the DSCP with `copy_dscp` "out" or "yes".
        """

    def remove_outbound(self, handle: int) -> None:
        """Stop sending on an SA; policies bound to it have none then. Unknown handles are ignored."""

    def update_endpoint(
        self,
        handle: int,
        local_addr: str,
        local_port: int,
        remote_addr: str,
        remote_port: int,
        *,
        udp_encap: bool = True,
    ) -> None:
        """Send from and to other addresses; the paired inbound SA expects packets from there."""

    def set_next_hop(self, handle: int, interface: int, mtu: int, address: bytes | None) -> None:
        """Send the plain ESP of an SA as frames to a link-layer address on an interface (its index, its MTU in octets).

        With None it goes through the kernel's IP, which costs about twice as much.
        """

    def set_path_mtu(self, handle: int, mtu: int) -> int:
        """Tell how many octets the path of an outbound SA carries in one packet, all headers included; 0 for any.

        Inner packets that leave no room and may not be cut are dropped, and their senders told (RFC 4301 section 8.2).
        Returns the octets of the longest inner packet. Raises ValueError for an unknown handle.
        """

    def clamp_mss(self, mtu: int) -> None:
        """Lower the MSS of TCP connections to what fits packets of `mtu` octets; 0 leaves it as it is."""

    def add_interface(self, name: str, mtu: int) -> int:
        """Make one more interface and return its number; 0 is the one there always is. Raises OSError."""

    def remove_interface(self, interface: int) -> None:
        """Remove an interface whose policies and SAs are gone; unknown ones are ignored."""

    def add_policy(
        self,
        policy_id: int,
        local_ts: list[Selector],
        remote_ts: list[Selector],
        *,
        priority: int = 0,
        interface: int = 0,
    ) -> None:
        """Add a policy without SA for what goes into an interface; lower priority numbers are asked first."""

    def bind_policy(self, policy_id: int, handle: int | None, *, worker: int | None = None) -> None:
        """Let a policy use another outbound SA, or none (its packets are held); held packets are sent.

        With `worker`: the SA of that worker alone. Without one of its own it uses the policy's.
        """

    def invite(self, policy_id: int, worker: int) -> None:
        """Let a worker without an SA of its own ask for one, once, by an Acquire, when it has packets of the policy."""

    def remove_policy(self, policy_id: int) -> None:
        """Remove a policy, so that its packets are dropped; unknown ids are ignored."""

    def counters(self) -> dict[str, int]:
        """Return batch statistics, and one counter for each reason to drop."""

    def batches(self) -> dict[str, list[int]]:
        """Return how many batches of each kind had 1, 2, 3 to 4, 5 to 8 ... 33 to 64 packets, and more."""

    def inbound_drops(self, spi: int) -> dict[str, int]:
        """Return the packets an inbound SA has dropped, by reason."""

    def outbound_drops(self, handle: int) -> dict[str, int]:
        """Return the packets an outbound SA has dropped, by reason."""

    def worker_counters(self) -> list[dict[str, int]]:
        """Return the counters of each worker."""

    def worker_batches(self) -> list[dict[str, list[int]]]:
        """Return the batches of each worker."""

    def workers(self) -> int:
        """Return how many threads carry packets."""

    def inbound_counters(self, spi: int) -> tuple[int, int]:
        """Return packets and inner octets an inbound SA has carried."""

    def outbound_counters(self, handle: int) -> tuple[int, int]:
        """Return packets and inner octets an outbound SA has carried."""

    def failure(self) -> str | None:
        """Return why the workers stopped, when nobody told them to."""

    def offloads(self) -> dict[str, bool]:
        """Return which offloads are in use now; what the kernel refuses on its way is not."""

    def offloads_asked(self) -> dict[str, bool]:
        """Return which of them were asked for."""

    def segmentation_refused(self, handle: int) -> bool:
        """Return whether packets of an outbound SA go one by one because the kernel lately refused their path more."""

    def inbound_window(self, spi: int) -> tuple[int, int]:
        """Return the highest sequence number an inbound SA has accepted, and its replay window in packets."""

    def outbound_sequence(self, handle: int) -> int:
        """Return the last sequence number an outbound SA has used; 0 before the first."""

    def interface(self) -> tuple[str, int]:
        """Return name and index of the TUN device."""

    def close(self) -> None:
        """Stop and free everything; closing twice is harmless."""
