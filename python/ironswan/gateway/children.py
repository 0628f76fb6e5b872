"""Child SAs in the data plane: installs, switches, moves and removes them as the engine's events say. Keeps no keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ironswan.gateway.own_sas import OwnSas
from ironswan.gateway.policies import Policies, as_tuples
from ironswan.ike.events import ChildSa
from ironswan.ike.types import Endpoint
from ironswan.policy.connection import PerCpuSas

if TYPE_CHECKING:
    from ironswan.dataplane.port import DataPlane
    from ironswan.gateway.interfaces import Interfaces


@dataclass(slots=True)
class Installed:
    """A Child SA as it is in the data plane; `handle` None once its outbound half is gone."""

    child: ChildSa
    handle: int | None
    interface: int = 0
    seen_highest: int = 0
    replaced: bool = False

    @property
    def target(self) -> tuple[str, str]:
        """Connection and child it belongs to."""
        return self.child.connection, self.child.name


def _source_port(child: ChildSa) -> int:
    """0 stands for the sending worker's own port."""
    own = child.worker is not None and child.policy.per_cpu_sas is PerCpuSas.ENCAP
    return 0 if own else child.local.port


class Children:
    """All Child SAs of the gateway."""

    def __init__(self, dataplane: DataPlane, policies: Policies, interfaces: Interfaces) -> None:
        """None yet."""
        self._dataplane = dataplane
        self._policies = policies
        self._interfaces = interfaces
        self.own = OwnSas(dataplane, policies)
        self._installed: dict[int, Installed] = {}

    def __iter__(self) -> Iterator[Installed]:
        """In the order of installation."""
        return iter(list(self._installed.values()))

    def get(self, child_id: int) -> Installed | None:
        """The one with this id."""
        return self._installed.get(child_id)

    def install(self, child: ChildSa, outbound: bool) -> None:
        """Both halves at once, so that the keys are handed over once; it sends only when `outbound` or told later.

        Raises ValueError or OSError when the data plane does not take it; then nothing of it stays.
        """
        interface = self._interfaces.of((child.connection, child.name))
        self._install_inbound(child, interface)
        try:
            handle = self._install_outbound(child)
        except (ValueError, OSError):
            self._dataplane.remove_inbound(child.inbound_spi)
            raise
        keyless = dataclasses.replace(child, keymat_in=b"", keymat_out=b"")
        self._installed[child.child_id] = Installed(keyless, handle, interface)
        if child.replaces is not None and (old := self._installed.get(child.replaces)):
            old.replaced = True
        self._policies.join(child.child_id, (child.connection, child.name), child.ts_local, child.ts_remote)
        if outbound:
            self.outbound_ready(child.child_id)

    def _install_inbound(self, child: ChildSa, interface: int) -> None:
        self._dataplane.install_inbound(
            child.inbound_spi,
            child.suite,
            child.keymat_in,
            esn=child.esn,
            replay_window=child.replay_window,
            remote_ts=as_tuples(child.ts_remote),
            local_ts=as_tuples(child.ts_local),
            remote_addr=str(child.remote.address),
            remote_port=child.remote.port,
            mode=child.mode.value,
            interface=interface,
            nat_original=(str(child.nat_original[0]), str(child.nat_original[1])) if child.nat_original else None,
            copy_ecn=child.policy.copy_ecn,
            copy_dscp=child.policy.copy_dscp.value,
            **self._limits(child),
        )

    def _install_outbound(self, child: ChildSa) -> int:
        return self._dataplane.install_outbound(
            child.outbound_spi,
            child.suite,
            child.keymat_out,
            esn=child.esn,
            local_addr=str(child.local.address),
            local_port=_source_port(child),
            remote_addr=str(child.remote.address),
            remote_port=child.remote.port,
            key_owner=child.inbound_spi,
            udp_encap=child.udp_encap,
            mode=child.mode.value,
            copy_ecn=child.policy.copy_ecn,
            copy_dscp=child.policy.copy_dscp.value,
            **self._limits(child),
        )

    @staticmethod
    def _limits(child: ChildSa) -> dict[str, int]:
        policy = child.policy
        return {
            "soft_packets": policy.rekey_packets,
            "hard_packets": policy.life_packets,
            "soft_bytes": policy.rekey_bytes,
            "hard_bytes": policy.life_bytes,
        }

    def outbound_ready(self, child_id: int) -> None:
        """The peer receives on it: send on it."""
        entry = self._installed.get(child_id)
        if entry is not None and entry.handle is not None:
            self._policies.use(child_id, entry.handle, entry.child.worker)
            self.own.sends(entry.child)

    def outbound_removed(self, child_id: int) -> None:
        """Send on it no more; it still receives."""
        entry = self._installed.get(child_id)
        if entry is None or entry.handle is None:
            return
        self._policies.disuse(child_id)
        self._dataplane.remove_outbound(entry.handle)
        entry.handle = None

    def removed(self, child_id: int) -> Installed | None:
        """Remove both halves; returns what it was."""
        entry = self._installed.get(child_id)
        if entry is None:
            return None
        self.outbound_removed(child_id)
        policy = self._policies.policy_of(child_id)
        self._policies.leave(child_id)
        self.own.gone(entry.child, policy)
        self._dataplane.remove_inbound(entry.child.inbound_spi)
        return self._installed.pop(child_id)

    def is_left_over(self, child_id: int) -> bool:
        """Whether another has taken its place."""
        entry = self._installed.get(child_id)
        return entry is not None and entry.replaced

    def serves(self, target: tuple[str, str]) -> bool:
        """Whether there is an SA of a child whose place none has taken."""
        return any(entry.target == target and not entry.replaced for entry in self)

    def moved(self, ike_id: int, local: Endpoint, remote: Endpoint) -> None:
        """The IKE SA's endpoints changed: its children's outbound halves follow."""
        for entry in self:
            if entry.child.ike_id != ike_id:
                continue
            entry.child = dataclasses.replace(entry.child, local=local, remote=remote)
            if entry.handle is not None:
                self._dataplane.update_endpoint(
                    entry.handle,
                    str(local.address),
                    _source_port(entry.child),
                    str(remote.address),
                    remote.port,
                    udp_encap=entry.child.udp_encap,
                )

    def inherited(self, old: int, new: int) -> None:
        """An IKE SA was rekeyed: its children belong to the new one."""
        for entry in self:
            if entry.child.ike_id == old:
                entry.child = dataclasses.replace(entry.child, ike_id=new)

    def heard(self) -> list[int]:
        """Inbound SPIs on which authenticated packets came since last asked."""
        spis = []
        for entry in self:
            # Not the packets carried: dummies, and what selectors drop, are signs of life too.
            highest, _ = self._dataplane.inbound_window(entry.child.inbound_spi)
            if highest != entry.seen_highest:
                entry.seen_highest = highest
                spis.append(entry.child.inbound_spi)
        return spis

    def progress(self, child_id: int) -> dict[str, int | bool]:
        """How far sequence numbers are, the replay window in packets, and whether runs are refused on the way out."""
        entry = self._installed.get(child_id)
        if entry is None:
            return {}
        highest, window = self._dataplane.inbound_window(entry.child.inbound_spi)
        last = 0 if entry.handle is None else self._dataplane.outbound_sequence(entry.handle)
        refused = entry.handle is not None and self._dataplane.segmentation_refused(entry.handle)
        return {
            "sequence_in": highest,
            "replay_window": window,
            "sequence_out": last,
            "segmentation_refused": refused,
        }

    def drops(self, child_id: int) -> dict[str, dict[str, int]]:
        """Packets dropped in each direction, by reason; reasons that never came up are left out."""
        entry = self._installed.get(child_id)
        if entry is None:
            return {"drops_in": {}, "drops_out": {}}
        out = {} if entry.handle is None else self._dataplane.outbound_drops(entry.handle)
        both = {"drops_in": self._dataplane.inbound_drops(entry.child.inbound_spi), "drops_out": out}
        return {way: {name.removeprefix("drop_"): n for name, n in all_.items() if n} for way, all_ in both.items()}

    def counters(self, child_id: int) -> dict[str, int]:
        """Packets and octets carried."""
        entry = self._installed.get(child_id)
        if entry is None:
            return {}
        packets_in, bytes_in = self._dataplane.inbound_counters(entry.child.inbound_spi)
        packets_out, bytes_out = (0, 0) if entry.handle is None else self._dataplane.outbound_counters(entry.handle)
        return {
            "packets_in": packets_in,
            "bytes_in": bytes_in,
            "packets_out": packets_out,
            "bytes_out": bytes_out,
        }
