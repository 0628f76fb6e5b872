"""A data plane without packets: it records what it is told, and says what a test lets it say."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import count

from ironswan.dataplane.port import Notice, Selector


@dataclass(slots=True)
class InstalledSa:
    """An SA as installed. For an inbound one `local` is None."""

    spi: int
    suite: str
    keymat: bytes = field(repr=False)
    esn: bool
    local: tuple[str, int] | None
    remote: tuple[str, int]
    limits: dict[str, int]
    udp_encap: bool = True
    next_hop: tuple[int, int, bytes | None] | None = None
    path_mtu: int = 0
    mode: str = "tunnel"
    nat_original: tuple[str, str] | None = None
    interface: int = 0
    copied: tuple[bool, str] = (True, "out")
    """`copy_ecn` and `copy_dscp`."""


@dataclass(slots=True)
class InstalledPolicy:
    """A policy as added, and the handle it is bound to."""

    local_ts: list[Selector]
    remote_ts: list[Selector]
    priority: int
    handle: int | None = None
    interface: int = 0
    own: dict[int, int] = field(default_factory=dict)
    """Handles that single workers are bound to."""


class NullDataPlane:
    """Records calls in `calls`, keeps the state they make, and gives what `tell` was given."""

    def __init__(self, workers: int = 1) -> None:
        """Start empty."""
        self._workers = workers
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.sent: list[tuple[str, int, str, int, bytes]] = []
        self.inbound: dict[int, InstalledSa] = {}
        self.outbound: dict[int, InstalledSa] = {}
        self.policies: dict[int, InstalledPolicy] = {}
        self.volumes: dict[int, tuple[int, int]] = {}
        self.drops: dict[int, dict[str, int]] = {}
        self.closed = False
        self.mss_mtu = 0
        self.admitted: set[bytes] = set()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._notices: list[Notice] = []
        self._spis = count(1)
        self._handles = count(1)
        self._numbers = count(1)
        self.interfaces: dict[int, str] = {}
        self._allocated: set[int] = set()

    def tell(self, *notices: Notice) -> None:
        """Let the next `drain` give these."""
        self._notices.extend(notices)
        os.eventfd_write(self._event, 1)

    def fileno(self) -> int:
        """See the port."""
        return self._event

    def drain(self) -> list[Notice]:
        """See the port."""
        if self._notices:
            os.eventfd_read(self._event)
        notices, self._notices = self._notices, []
        return notices

    def send(self, local_addr: str, local_port: int, remote_addr: str, remote_port: int, data: bytes) -> bool:
        """See the port."""
        self.sent.append((local_addr, local_port, remote_addr, remote_port, data))
        return True

    def admit_ike(self, spi: bytes) -> None:
        """See the port; those admitted are in `admitted`."""
        self.admitted.add(spi)

    def dismiss_ike(self, spi: bytes) -> None:
        """See the port."""
        self.admitted.discard(spi)

    def allocate_spi(self, worker: int | None = None) -> int:
        """See the port; the remainder of the SPI's upper bits is the worker."""
        number = next(self._spis)
        spi = number + (((worker or 0) + self._workers) << 20)
        self._allocated.add(spi)
        return spi

    def release_spi(self, spi: int) -> None:
        """See the port."""
        self._record("release_spi", spi)
        self._allocated.discard(spi)
        self.inbound.pop(spi, None)

    def install_inbound(
        self,
        spi: int,
        suite: str,
        keymat: bytes,
        *,
        esn: bool,
        replay_window: int,  # noqa: ARG002  the port's signature
        remote_ts: list[Selector],  # noqa: ARG002
        local_ts: list[Selector],  # noqa: ARG002
        remote_addr: str,
        remote_port: int,
        mode: str = "tunnel",
        nat_original: tuple[str, str] | None = None,
        interface: int = 0,
        copy_ecn: bool = True,
        copy_dscp: str = "out",
        **limits: int,
    ) -> None:
        """See the port."""
        if spi not in self._allocated:
            raise ValueError(f"no inbound SPI {spi:#010x}")
        self._record("install_inbound", spi)
        remote, copied = (remote_addr, remote_port), (copy_ecn, copy_dscp)
        self.inbound[spi] = InstalledSa(
            spi, suite, keymat, esn, None, remote, limits,
            mode=mode, nat_original=nat_original, interface=interface, copied=copied,
        )  # fmt: skip

    def remove_inbound(self, spi: int) -> None:
        """See the port."""
        self._record("remove_inbound", spi)
        self._allocated.discard(spi)
        self.inbound.pop(spi, None)

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
        key_owner: int = 0,  # noqa: ARG002  the port's signature
        udp_encap: bool = True,
        mode: str = "tunnel",
        copy_ecn: bool = True,
        copy_dscp: str = "out",
        **limits: int,
    ) -> int:
        """See the port."""
        handle = next(self._handles)
        self._record("install_outbound", spi, handle)
        local, remote = (local_addr, local_port), (remote_addr, remote_port)
        self.outbound[handle] = InstalledSa(
            spi, suite, keymat, esn, local, remote, limits, udp_encap, mode=mode, copied=(copy_ecn, copy_dscp)
        )
        return handle

    def remove_outbound(self, handle: int) -> None:
        """See the port."""
        self._record("remove_outbound", handle)
        self.outbound.pop(handle, None)
        for policy in self.policies.values():
            if policy.handle == handle:
                policy.handle = None
            policy.own = {worker: own for worker, own in policy.own.items() if own != handle}

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
        """See the port."""
        self._record("update_endpoint", handle, local_addr, local_port, remote_addr, remote_port)
        sa = self._outbound(handle)
        sa.local, sa.remote = (local_addr, local_port), (remote_addr, remote_port)
        sa.udp_encap, sa.next_hop = udp_encap, None

    def set_next_hop(self, handle: int, interface: int, mtu: int, address: bytes | None) -> None:
        """See the port."""
        self._record("set_next_hop", handle, interface, mtu, address)
        self._outbound(handle).next_hop = (interface, mtu, address)

    def set_path_mtu(self, handle: int, mtu: int) -> int:
        """Return what ESP in UDP with AES-GCM over IPv4 leaves room for."""
        self._record("set_path_mtu", handle, mtu)
        self._outbound(handle).path_mtu = mtu
        return mtu - 54 if mtu else 0xFFFFFFFF

    def clamp_mss(self, mtu: int) -> None:
        """See the port."""
        self.mss_mtu = mtu

    def add_interface(self, name: str, mtu: int) -> int:  # noqa: ARG002  the port's signature
        """See the port."""
        if name in self.interfaces.values():
            raise FileExistsError(name)
        number = next(self._numbers)
        self._record("add_interface", name)
        self.interfaces[number] = name
        return number

    def remove_interface(self, interface: int) -> None:
        """See the port."""
        self._record("remove_interface", interface)
        self.interfaces.pop(interface, None)

    def add_policy(
        self,
        policy_id: int,
        local_ts: list[Selector],
        remote_ts: list[Selector],
        *,
        priority: int = 0,
        interface: int = 0,
    ) -> None:
        """See the port."""
        if policy_id in self.policies:
            raise ValueError(f"policy {policy_id} exists already")
        self._record("add_policy", policy_id)
        self.policies[policy_id] = InstalledPolicy(local_ts, remote_ts, priority, interface=interface)

    def bind_policy(self, policy_id: int, handle: int | None, *, worker: int | None = None) -> None:
        """See the port."""
        policy = self._policy(policy_id)
        if handle is not None:
            self._outbound(handle)
        if worker is None:
            self._record("bind_policy", policy_id, handle)
            policy.handle = handle
            return
        self._record("bind_own", policy_id, handle, worker)
        if handle is None:
            policy.own.pop(worker, None)
        else:
            policy.own[worker] = handle

    def invite(self, policy_id: int, worker: int) -> None:
        """See the port."""
        self._policy(policy_id)
        self._record("invite", policy_id, worker)

    def remove_policy(self, policy_id: int) -> None:
        """See the port."""
        self._record("remove_policy", policy_id)
        self.policies.pop(policy_id, None)

    def counters(self) -> dict[str, int]:
        """See the port."""
        return {}

    def batches(self) -> dict[str, list[int]]:
        """See the port."""
        return {}

    def inbound_drops(self, spi: int) -> dict[str, int]:
        """Return what `drops` says of the SPI."""
        return self.drops.get(spi, {})

    def outbound_drops(self, handle: int) -> dict[str, int]:
        """Return what `drops` says of the SA's SPI."""
        return self.drops.get(self._outbound(handle).spi, {})

    def worker_counters(self) -> list[dict[str, int]]:
        """See the port."""
        return [{} for _ in range(self._workers)]

    def worker_batches(self) -> list[dict[str, list[int]]]:
        """See the port."""
        return [{} for _ in range(self._workers)]

    def workers(self) -> int:
        """See the port."""
        return self._workers

    def inbound_counters(self, spi: int) -> tuple[int, int]:
        """Return what `volumes` says of the SPI."""
        if spi not in self.inbound:
            raise ValueError(f"no inbound SPI {spi:#010x}")
        return self.volumes.get(spi, (0, 0))

    def outbound_counters(self, handle: int) -> tuple[int, int]:
        """Return what `volumes` says of the SA's SPI."""
        return self.volumes.get(self._outbound(handle).spi, (0, 0))

    def failure(self) -> str | None:
        """See the port."""
        return "a test says so"

    def offloads(self) -> dict[str, bool]:
        """See the port."""
        return {}

    def offloads_asked(self) -> dict[str, bool]:
        """See the port."""
        return {}

    def segmentation_refused(self, handle: int) -> bool:
        """See the port."""
        self._outbound(handle)
        return False

    def inbound_window(self, spi: int) -> tuple[int, int]:
        """Return the packets that `volumes` says the SPI has carried, and a window."""
        return self.inbound_counters(spi)[0], 64

    def outbound_sequence(self, handle: int) -> int:
        """Return the packets that `volumes` says the SA has carried."""
        return self.outbound_counters(handle)[0]

    def interface(self) -> tuple[str, int]:
        """See the port."""
        return "null", 0

    def close(self) -> None:
        """See the port."""
        if not self.closed:
            self.closed = True
            os.close(self._event)

    def _record(self, name: str, *arguments: object) -> None:
        self.calls.append((name, arguments))

    def _policy(self, policy_id: int) -> InstalledPolicy:
        if policy_id not in self.policies:
            raise ValueError(f"no policy {policy_id}")
        return self.policies[policy_id]

    def _outbound(self, handle: int) -> InstalledSa:
        if handle not in self.outbound:
            raise ValueError(f"no outbound SA {handle}")
        return self.outbound[handle]
