"""What a figure needs beside it: the machine, the programs, the load, the day. Looks, but measures nothing."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import ironswan

# What decides the speed of a cipher, in the words of /proc/cpuinfo (x86-64, ARM); and whether the CPU is a guest's.
_FEATURES = (
    "aes", "pclmulqdq", "avx2", "vaes", "vpclmulqdq", "avx512f", "sha_ni",
    "asimd", "pmull", "sha2", "sha512", "sve",
    "hypervisor",
)  # fmt: skip
_ROOT = Path(__file__).parents[3]
_SYSTEM = Path("/")


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a measurement. What could not be found out is None."""

    date: str
    cpu: str
    cpus: int
    """CPUs this process may use."""
    cpu_features: tuple[str, ...]
    governor: str | None
    load: tuple[float, ...] | None
    """Load averages over 1, 5 and 15 minutes when it began."""
    kernel: str
    python: str
    ironswan: str
    native: str | None
    commit: str | None
    """Of the tree the package stands in, with `+changes` if files differ from it."""
    libraries: dict[str, str | None]
    """Version of each library that took part; None for one that is not installed."""

    def to_dict(self) -> dict[str, Any]:
        """The same for a JSON document."""
        return asdict(self)

    def text(self) -> str:
        """One line for people."""
        features = " ".join(self.cpu_features) or "features unknown"
        parts = [
            f"{self.cpu}, {self.cpus} CPU{'s' * (self.cpus != 1)} ({features})",
            f"governor {self.governor}" if self.governor else "",
            f"load {' '.join(f'{part:.2f}' for part in self.load)}" if self.load else "",
            f"Linux {self.kernel}",
            f"Python {self.python}",
            f"ironswan {self.ironswan} (native module {self.native or 'not built'})",
            f"commit {self.commit}" if self.commit else "",
            *(f"{name} {version}" for name, version in self.libraries.items() if version),
            self.date,
        ]
        return "; ".join(part for part in parts if part)


def gather(libraries: Sequence[str] = (), *, system: Path = _SYSTEM, root: Path = _ROOT) -> Conditions:
    """The conditions here and now. `libraries` are distributions that take part, besides *ring*, which always does."""
    versions = {"ring": _locked(root, "ring")} | {name: _installed(name) for name in libraries}
    cpu, features = _cpu(system)
    return Conditions(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu=cpu,
        cpus=len(os.sched_getaffinity(0)),
        cpu_features=features,
        governor=_read(system / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load=_load(system),
        kernel=platform.release(),
        python=platform.python_version(),
        ironswan=ironswan.__version__,
        native=ironswan.native_version(),
        commit=_commit(root),
        libraries=versions,
    )


def _read(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return None


def _cpu(system: Path) -> tuple[str, tuple[str, ...]]:
    """Model and features of the first CPU."""
    fields: dict[str, str] = {}
    for line in (_read(system / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return fields.get("model name") or platform.machine(), tuple(name for name in _FEATURES if name in flags)


def _load(system: Path) -> tuple[float, ...] | None:
    words = _read(system / "proc/loadavg")
    return tuple(float(word) for word in words.split()[:3]) if words else None


def _installed(name: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def _locked(root: Path, crate: str) -> str | None:
    """The version of a crate in the tree's Cargo.lock; None outside a tree."""
    with contextlib.suppress(OSError, tomllib.TOMLDecodeError):
        packages = tomllib.loads((root / "Cargo.lock").read_text(encoding="utf-8")).get("package", [])
        return next((str(package["version"]) for package in packages if package["name"] == crate), None)
    return None


def _commit(root: Path) -> str | None:
    """The commit of a working tree of this project; None when installed elsewhere or git is not there or refuses."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists() or not (root / "Cargo.toml").exists():
        return None
    commit = _git(git, root, "rev-parse", "--short=12", "HEAD")
    return f"{commit}+changes" if commit and _git(git, root, "status", "--porcelain") else commit


def _git(git: str, root: Path, *words: str) -> str | None:
    command = [git, "--no-optional-locks", "-C", str(root), *words]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
        return done.stdout.strip()
    return None
