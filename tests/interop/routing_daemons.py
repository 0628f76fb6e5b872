"""FRR's BGP daemon in a namespace, as a peer nobody here wrote decides what goes into a tunnel's interface."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from ironswan.lab.namespaces import Namespace
from ironswan.lab.processes import Daemon, until

FRR = Path("/usr/lib/frr")


class Bgp:
    """zebra and bgpd; they announce one prefix to one neighbour and install what that one announces."""

    def __init__(
        self, namespace: Namespace, systems: tuple[int, int], address: str, neighbour: str, prefix: str
    ) -> None:
        """`systems` are the numbers of ours and of the neighbour's."""
        # They give up root for a user of their own, who reads nothing of a test's folder.
        self._work = work = Path(tempfile.mkdtemp(prefix="frr-"))
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, work)
            self._configure(systems, address, neighbour, prefix)
            stack.callback(self._start(namespace, "zebra").stop)
            until(lambda: (work / "zserv").exists(), 10, "zebra listens")
            stack.callback(self._start(namespace, "bgpd", "--listenon", address).stop)
            self._stack = stack.pop_all()

    def _configure(self, systems: tuple[int, int], address: str, neighbour: str, prefix: str) -> None:
        work = self._work
        shutil.chown(work, "frr", "frr")
        (work / "bgpd.conf").write_text(
            f"""router bgp {systems[0]}
 bgp router-id {address}
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 1 3
 neighbor {neighbour} remote-as {systems[1]}
 neighbor {neighbour} timers connect 1
 neighbor {neighbour} advertisement-interval 0
 address-family ipv4 unicast
  network {prefix}
"""
        )
        (work / "zebra.conf").write_text("hostname zebra\n")

    def _start(self, namespace: Namespace, name: str, *more: str) -> Daemon:
        work = str(self._work)
        command = [str(FRR / name), "-f", f"{work}/{name}.conf", "-i", f"{work}/{name}.pid"]
        command += ["-z", f"{work}/zserv", "--vty_socket", work, "-P", "0", "--log", "stdout", *more]
        return Daemon(namespace, command, self._work / f"{name}.log")

    def stop(self) -> None:
        """End both."""
        self._stack.close()
