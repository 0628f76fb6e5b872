"""The CPU time of a data plane's threads, which are threads of this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ironswan.lab.processes import until

_TASKS = Path("/proc/self/task")


def known() -> frozenset[int]:
    """The threads there are now."""
    return frozenset(int(task.name) for task in _TASKS.iterdir())


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads of one data plane that send, and those that receive."""

    sending: tuple[int, ...]
    receiving: tuple[int, ...]

    @classmethod
    def since(cls, before: frozenset[int], workers: int) -> Threads:
        """Those of the data plane with so many workers started since `before`. Raises LabError."""
        # A thread names itself, some time after it was started.
        return until(lambda: cls._named(before, workers), 5, "the threads of the data plane have their names")

    @classmethod
    def _named(cls, before: frozenset[int], workers: int) -> Threads | None:
        names = {task: _name(task) for task in known() - before}
        sending, receiving = (
            tuple(task for task, name in names.items() if name.startswith("ironswan-") and name.endswith(end))
            for end in ("-out", "-in")
        )
        return cls(sending, receiving) if len(sending) == len(receiving) == workers else None


def _name(task: int) -> str:
    try:
        return (_TASKS / str(task) / "comm").read_text(encoding="ascii").strip()
    except OSError:  # it has ended since
        return ""


def seconds(threads: tuple[int, ...]) -> float:
    """CPU time they have used together, in seconds."""
    spent = ((_TASKS / str(task) / "schedstat").read_text(encoding="ascii").split()[0] for task in threads)
    return sum(int(nanoseconds) for nanoseconds in spent) / 1e9
