"""The conditions of a run: what the figures depend on, and what may have spoilt them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ironswan.bench.conditions import gather
from ironswan.bench.tunnel import cpu
from ironswan.lab.privileges import in_user_namespace

BUSY = 0.15
# Namespaces begin with what the machine has.
_CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def conditions(mtu: int, rounds: int, seconds: int, generator: str) -> dict[str, Any]:
    """Looked at before the first measurement; takes a second."""
    machine, busy = gather(), cpu.busy_share(1.0)
    return {
        "machine": machine.to_dict(),
        "summary": machine.text(),
        "link_mtu": mtu,
        "rounds": rounds,
        "seconds": seconds,
        "tcp_generator": generator,
        "congestion_control": _CONGESTION_CONTROL.read_text(encoding="ascii").strip(),
        "privileges": "root of a user namespace: socket buffers are small" if in_user_namespace() else "root",
        "busy_share": round(busy, 3),
        "warnings": warnings(machine.load[0] if machine.load else 0.0, busy, machine.cpus),
    }


def warnings(load: float, busy: float, cores: int) -> list[str]:
    """What makes the figures doubtful: other work on the machine at the start."""
    found = []
    if load > 0.5 * cores:
        found.append(f"the load average was {load:.2f} on {cores} cores at the start: the figures may be too low")
    if busy > BUSY:
        found.append(f"the machine was {busy:.0%} busy with something else at the start: the figures may be too low")
    return found
