"""Two data planes with static keys, each in a namespace of its own, joined by a veth pair."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ironswan import _native, esp

# Of this session alone: another may run beside it.
PREFIX = f"ipswdp{os.getpid()}-"
CLONE_NEWNET = 0x40000000
ANY = (0, 65535)
OUTER = {"a": "10.201.0.1", "b": "10.201.0.2"}
INNER = {"a": "10.202.1.1", "b": "10.202.2.1"}
OUTER6 = {"a": "fd00:c9::1", "b": "fd00:c9::2"}
INNER6 = {"a": "fd00:ca:1::1", "b": "fd00:ca:2::1"}
KEYS = {"a": bytes(range(128)), "b": bytes(range(100, 228))}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(condition: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Return the condition's value as soon as it is true."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come true")
        poll.poll(5)
    return value


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread open sockets and devices in a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home, Path(f"/run/netns/{namespace}").open("rb") as target:
        if libc.setns(target.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


def whole(address: str, protocol: int = 0, ports: tuple[int, int] = ANY) -> tuple[int, str, str, int, int]:
    return (protocol, address, address, *ports)


@dataclass
class Side:
    name: str
    namespace: str
    plane: _native.DataPlane
    spi: int = 0
    handle: int = 0
    heard: list[object] = field(default_factory=list)

    def run(self, *command: str) -> str:
        return run("ip", "netns", "exec", self.namespace, *command)

    def counter(self, name: str) -> int:
        return self.plane.counters()[name]

    def hear(self, of: type, **wanted: object) -> Any:
        """Return the next notice of a type whose attributes are as wanted."""

        def look() -> object | None:
            self.heard.extend(self.plane.drain())
            for index, item in enumerate(self.heard):
                if isinstance(item, of) and all(getattr(item, key) == value for key, value in wanted.items()):
                    return self.heard.pop(index)
            return None

        return wait_for(look)


class Pair:
    """Sides `a` and `b`; `join` installs one SA each way and policies 4 and 6. `b` holds what is different there."""

    def __init__(self, tag: str, *, outer6: bool = False, b: dict[str, Any] | None = None, **options: Any) -> None:
        self.outer = OUTER6 if outer6 else OUTER
        self.names = {x: f"{PREFIX}{tag}{x}" for x in "ab"}
        self.sides: dict[str, Side] = {}
        with contextlib.ExitStack() as stack:
            self.build(stack, options, b or {})
            self.a, self.b = self.sides["a"], self.sides["b"]
            self.prepare()
            self.stack = stack.pop_all()

    def build(self, stack: contextlib.ExitStack, options: dict[str, Any], of_b: dict[str, Any]) -> None:
        """Make namespaces and planes; what there is of them ends with the stack."""
        for x in "ab":
            run("ip", "netns", "add", self.names[x])
            stack.callback(run, "ip", "netns", "del", self.names[x])
        veth = {x: f"v{x}" for x in "ab"}
        run(
            "ip",
            "link",
            "add",
            veth["a"],
            "netns",
            self.names["a"],
            "type",
            "veth",
            "peer",
            "name",
            veth["b"],
            "netns",
            self.names["b"],
        )
        for x in "ab":
            ns = ("ip", "-n", self.names[x])
            run(*ns, "link", "set", "lo", "up")
            run(*ns, "addr", "add", f"{OUTER[x]}/24", "dev", veth[x])
            run(*ns, "addr", "add", f"{OUTER6[x]}/64", "dev", veth[x], "nodad")
            run(*ns, "link", "set", veth[x], "up")
            with inside(self.names[x]):
                plane = _native.DataPlane(tun_name="ipsec0", **(options | of_b if x == "b" else options))
            stack.callback(plane.close)
            self.sides[x] = Side(x, self.names[x], plane)
            y = "b" if x == "a" else "a"
            run(*ns, "addr", "add", f"{INNER[x]}/32", "dev", "lo")
            run(*ns, "addr", "add", f"{INNER6[x]}/128", "dev", "lo", "nodad")
            run(*ns, "route", "add", "10.202.0.0/16", "dev", "ipsec0", "src", INNER[x])
            run(*ns, "-6", "route", "add", f"{INNER6[y]}/128", "dev", "ipsec0", "src", INNER6[x])

    def prepare(self) -> None:
        """Do what a kind of pair needs beyond that."""

    def selectors(self, x: str) -> list[tuple[int, str, str, int, int]]:
        return [whole(INNER[x]), whole(INNER6[x])]

    def install(self, *, suite: str = "aes256gcm16", **changed: Any) -> None:
        """Install SAs. `remote_ts_b` replaces what b expects of a; `copied` is for both halves, others are limits."""
        remote_ts_b = changed.pop("remote_ts_b", self.selectors("a"))
        window = changed.pop("replay_window", 1024)
        plain, copied = changed.pop("plain", ""), changed.pop("copied", {})
        for x in "ab":
            self.sides[x].spi = self.sides[x].plane.allocate_spi()
        for x, y in ("ab", "ba"):
            here, there = self.sides[x], self.sides[y]
            length = next(each.keymat_len for each in esp.suites() if each.keyword == suite and each.protocol == "esp")
            here.plane.install_inbound(
                here.spi,
                suite,
                KEYS[y][:length],
                esn=False,
                replay_window=window,
                remote_ts=remote_ts_b if x == "b" else self.selectors(y),
                local_ts=self.selectors(x),
                remote_addr=self.outer[y],
                remote_port=4500,
                **copied,
            )
            # As a gateway does it, which never leaves its namespace.
            with inside(here.namespace):
                here.handle = here.plane.install_outbound(
                    there.spi,
                    suite,
                    KEYS[x][:length],
                    esn=False,
                    local_addr=self.outer[x],
                    local_port=4500,
                    remote_addr=self.outer[y],
                    remote_port=4500,
                    key_owner=here.spi,
                    udp_encap=x not in plain,
                    **copied,
                    **changed,
                )

    def link(self, x: str) -> dict[str, Any]:
        """Return what the system knows of a side's outer interface."""
        found: dict[str, Any] = json.loads(run("ip", "-n", self.names[x], "-j", "link", "show", f"v{x}"))[0]
        return found

    def know_next_hops(self) -> None:
        """Let both sides send plain ESP as frames."""
        for x, y in ("ab", "ba"):
            here, address = self.link(x), bytes.fromhex(self.link(y)["address"].replace(":", ""))
            self.sides[x].plane.set_next_hop(self.sides[x].handle, here["ifindex"], here["mtu"], address)

    def join(self, **changed: Any) -> None:
        self.install(**changed)
        for x, y in ("ab", "ba"):
            plane = self.sides[x].plane
            plane.add_policy(1, self.selectors(x), self.selectors(y))
            plane.bind_policy(1, self.sides[x].handle)

    def close(self) -> None:
        """Whatever fails, the rest of it ends too."""
        self.stack.close()


def supported() -> str:
    """Return why two gateways cannot be built here, or nothing."""
    if os.geteuid():
        return "needs root"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    return ""
