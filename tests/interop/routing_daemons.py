"""FRR's BGP daemon in a namespace, as a peer nobody here wrote decides what goes into a tunnel's interface."""

from __future__ import annotations

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
        self._zebra = self._start(namespace, "zebra")
        until(lambda: (work / "zserv").exists(), 10, "zebra listens")
        self._bgpd = self._start(namespace, "bgpd", "--listenon", address)

    def _start(self, namespace: Namespace, name: str, *more: str) -> Daemon:
        work = str(self._work)
        command = [str(FRR / name), "-f", f"{work}/{name}.conf", "-i", f"{work}/{name}.pid"]
        command += ["-z", f"{work}/zserv", "--vty_socket", work, "-P", "0", "--log", "stdout", *more]
        return Daemon(namespace, command, self._work / f"{name}.log")

    def stop(self) -> None:
        """End both."""
        self._bgpd.stop()
        self._zebra.stop()
        shutil.rmtree(self._work)
