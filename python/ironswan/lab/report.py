"""What the demo found, as one document for programs and one table for people."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ironswan

SCHEMA = 1


@dataclass(slots=True)
class Report:
    """The demo's findings; a value that was not reached stays None. `failed` lists what did not hold, in words."""

    handshake_ms: float | None = None
    suite: str | None = None
    ping_sent: int = 0
    ping_received: int = 0
    rtt_us: float | None = None
    tcp_gbps: float | None = None
    tcp_reverse_gbps: float | None = None
    udp64_kpps: float | None = None
    rekey_lost: int | None = None
    cleartext_packets: int | None = None
    offloads: dict[str, bool] = field(default_factory=dict)
    mtu: int | None = None
    failed: list[str] = field(default_factory=list)

    def check(self, held: bool, otherwise: str) -> None:
        """Note a failure unless the claim held."""
        if not held:
            self.failed.append(otherwise)

    @property
    def ok(self) -> bool:
        """Whether everything was reached and held."""
        return not self.failed

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "handshake_ms": self.handshake_ms,
            "suite": self.suite,
            "ping": {"sent": self.ping_sent, "received": self.ping_received, "rtt_us": self.rtt_us},
            "tcp_gbps": self.tcp_gbps,
            "tcp_reverse_gbps": self.tcp_reverse_gbps,
            "udp64_kpps": self.udp64_kpps,
            "rekey_lost": self.rekey_lost,
            "cleartext_packets": self.cleartext_packets,
            "offloads": self.offloads,
            "conditions": conditions(self.mtu),
            "failed": self.failed,
        }

    def table(self) -> str:
        """The same for people, one finding a line."""
        about = conditions(self.mtu)
        rows = [
            ("handshake", _with(self.handshake_ms, "ms")),
            ("suite", self.suite or "-"),
            ("ping", f"{self.ping_received} of {self.ping_sent} answered, median {_with(self.rtt_us, 'µs')}"),
            ("TCP alice to bob", _with(self.tcp_gbps, "Gbit/s")),
            ("TCP bob to alice", _with(self.tcp_reverse_gbps, "Gbit/s")),
            ("UDP, 64 octets", _with(self.udp64_kpps, "thousand packets/s")),
            ("lost in the rekeys", _with(self.rekey_lost, "packets")),
            ("readable on the wire", _with(self.cleartext_packets, "packets")),
            ("offloads", ", ".join(name for name, on in self.offloads.items() if on) or "none"),
            ("measured on", f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}"),
            ("", f"tunnel MTU {about['mtu'] or '-'}, ironswan {about['version']}"),
        ]
        lines = [f"  {name:<22}{value}" for name, value in rows]
        lines += ["", *(f"FAILED  {reason}" for reason in self.failed)] if self.failed else ["", "ok"]
        return "\n".join(lines)


def _with(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value:g} {unit}"


def conditions(mtu: int | None) -> dict[str, Any]:
    """What a number depends on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    cores = len(os.sched_getaffinity(0))
    return {"cpu": model, "cores": cores, "kernel": platform.release(), "mtu": mtu, "version": ironswan.__version__}
