"""The two ends of an interop test: an ironswan gateway or a strongSwan charon, each alone in a network namespace."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ironswan.lab.gateways import Gateway
from ironswan.lab.namespaces import Namespace, connect
from ironswan.lab.processes import Daemon, LabError, until
from ironswan.lab.traffic import Host, ping

CHARON = Path("/usr/lib/ipsec/charon")
OUTER = {"left": "192.0.2.1", "right": "192.0.2.2"}
INNER = {"left": "10.101.0.1", "right": "10.102.0.1"}
OTHER = {"left": "right", "right": "left"}
WIRE = "ipswit0"
# aesni has to come before openssl: charon's openssl AES-GCM is several times slower.
PLUGINS = (
    "random nonce aesni aes sha1 sha2 hmac kdf gcm ccm ctr cmac xcbc curve25519 openssl chapoly pem x509 pubkey pkcs1 "
    "pkcs8 constraints revocation kernel-libipsec kernel-netlink socket-default vici updown"
)


@dataclass(frozen=True)
class Terms:
    """What a test configures at one end; the other end's mirror image by default."""

    ike: str = "aes128gcm16-prfsha256-x25519"
    esp: str = "aes128gcm16"
    secret: str = "a secret for tests only"
    encap: str = "yes"
    connection: str = ""
    child: str = ""
    settings: str = ""
    selectors: str = ""
    many: int = 0

    def but(self, **changes: Any) -> Terms:
        """These terms with some of them changed."""
        return replace(self, **changes)

    def _more(self, side: str) -> str:
        return "".join(f", 10.201.{2 * number}.0/24" for number in range(self.many)) if side == "left" else ""

    def text(self, side: str) -> str:
        """The swanctl.conf of one side."""
        other = OTHER[side]
        mine, theirs = (self.selectors or f"{INNER[end]}/32{self._more(end)}" for end in (side, other))
        return f"""connections {{
  t {{
    version = 2
    local_addrs = {OUTER[side]}
    remote_addrs = {OUTER[other]}
    encap = {self.encap}
    proposals = {self.ike}
    {self.connection}
    local {{
      auth = psk
      id = {side}.test
    }}
    remote {{
      auth = psk
      id = {other}.test
    }}
    children {{
      c {{
        local_ts = {mine}
        remote_ts = {theirs}
        esp_proposals = {self.esp}
        {self.child}
      }}
    }}
  }}
}}
secrets {{
  ike-test {{
    id-1 = left.test
    id-2 = right.test
    secret = "{self.secret}"
  }}
}}
"""


class Charon:
    """Debian's charon with ESP in user space, its /run private; spoken to with swanctl."""

    def __init__(self, namespace: Namespace, work: Path, side: str, terms: Terms) -> None:
        self.namespace = namespace
        self._folder = work / side
        self._folder.mkdir()
        self._uri = f"unix://{self._folder}/vici"
        self._log = self._folder / "charon.log"
        self._file = self._folder / "swanctl.conf"
        self._file.write_text(terms.text(side))
        settings = self._folder / "strongswan.conf"
        settings.write_text(
            f"""charon {{
  load = {PLUGINS}
  install_virtual_ip = no
  retransmit_timeout = 1
  retransmit_tries = 3
  {terms.settings}
  filelog {{ log {{ path = {self._log}
    ike = 2
    enc = 1
    flush_line = yes }} }}
  plugins {{
    kernel-libipsec {{ allow_peer_ts = yes }}
    vici {{ socket = {self._uri} }}
  }}
}}
"""
        )
        private = [
            "unshare",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            f"mount -t tmpfs none /run && exec {CHARON}",
        ]
        environment = {"STRONGSWAN_CONF": str(settings)}
        self._daemon = Daemon(namespace, private, self._folder / "output", environment)
        try:
            until(self._answers, 10, "charon answers")
            self.load()
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        if not self._daemon.running:
            raise LabError(f"charon ended: {self._daemon.text()[-500:]}")
        return self.swanctl("--stats", check=False).returncode == 0

    def swanctl(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run swanctl against this charon."""
        done = subprocess.run(
            ["swanctl", *words, "--uri", self._uri],
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "SWANCTL_DIR": str(self._folder)},
        )
        if check and done.returncode:
            raise LabError(f"swanctl {' '.join(words)}: {done.stdout[-600:]} {done.stderr[-300:]}")
        return done

    def load(self) -> None:
        """Load the configuration file."""
        self.swanctl("--load-all", "--file", str(self._file))

    def configure(self, text: str) -> None:
        """Replace the configuration."""
        self._file.write_text(text)
        self.load()

    def initiate(self) -> str:
        """Set the child up; what charon said about it."""
        return self.swanctl("--initiate", "--child", "c", "--timeout", "20").stdout

    def log(self) -> str:
        """The log so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def children(self) -> frozenset[str]:
        """The inbound SPIs of the installed Child SAs."""
        text = self.swanctl("--list-sas", "--raw", check=False).stdout
        found = re.findall(r"name=c .*?state=(\w+) .*?spi-in=(\w+)", text)
        return frozenset(spi for state, spi in found if state in {"INSTALLED", "REKEYED", "REKEYING"})

    def current_child(self) -> str | None:
        """The inbound SPI of the one Child SA in use."""
        text = self.swanctl("--list-sas", "--raw", check=False).stdout
        found = [
            spi for state, spi in re.findall(r"name=c .*?state=(\w+) .*?spi-in=(\w+)", text) if state == "INSTALLED"
        ]
        return found[0] if len(found) == 1 else None

    def ike_spis(self) -> frozenset[str]:
        """The initiator SPIs of the established IKE SAs."""
        text = self.swanctl("--list-sas", "--raw", check=False).stdout
        return frozenset(re.findall(r"state=ESTABLISHED .*?initiator-spi=(\w+)", text))

    def until_child(self) -> None:
        """Wait until there is a Child SA."""
        until(self.current_child, 15, "charon has a Child SA")

    def stop(self) -> None:
        """End charon."""
        self._daemon.stop()


@dataclass(frozen=True)
class HostState:
    """A host's interfaces, routes and rules."""

    interfaces: list[str]
    routes: set[str]
    rules: set[str]


@dataclass
class Sites:
    """Two namespaces with a wire between them and a protected address each; `work` is this test's own folder.

    `readable`: what the test sends may be read on the wire, because its suite does not encrypt.
    """

    left: Namespace
    right: Namespace
    work: Path
    stack: contextlib.ExitStack
    terms: Terms = Terms()
    readable: bool = False

    @property
    def hosts(self) -> tuple[Host, Host]:
        """The protected ends, left and right."""
        return Host(self.left, INNER["left"]), Host(self.right, INNER["right"])

    def left_state(self) -> HostState:
        """What a gateway on the left may have changed."""
        return HostState(self.left.interfaces(), self.left.routes(), self.left.rules())

    def ironswan(self, terms: Terms | None = None, side: str = "left", *, start: bool = True) -> Gateway:
        """Start an ironswan gateway."""
        gateway = Gateway(getattr(self, side), self.work, side, (terms or Terms()).text(side))
        self.stack.callback(gateway.stop)
        if start:
            gateway.start()
        return gateway

    def charon(self, terms: Terms | None = None, side: str = "right") -> Charon:
        """Start a charon."""
        charon = Charon(getattr(self, side), self.work, side, terms or Terms())
        self.stack.callback(charon.stop)
        return charon


@contextlib.contextmanager
def sites(work: Path) -> Iterator[Sites]:
    """Lay the wire; everything started on it ends with the block."""
    with contextlib.ExitStack() as stack:
        left, right = (stack.enter_context(Namespace(f"ipswit-{side}")) for side in ("left", "right"))
        addresses = (f"{OUTER['left']}/24", f"{OUTER['right']}/24")
        connect(left, right, names=(WIRE, WIRE), addresses=addresses)
        for namespace, side in ((left, "left"), (right, "right")):
            namespace.add_address("lo", f"{INNER[side]}/32")
            namespace.sysctl("net.ipv4.conf.all.rp_filter", 0)
            # Whatever is not protected takes this way and is seen on the wire.
            namespace.add_route("default", OUTER[OTHER[side]])
        yield Sites(left, right, work, stack)


def set_up(ours: Gateway, charon: Charon, initiator: str) -> None:
    """Set the child up from one side and wait until both list it."""
    if initiator == "ironswan":
        ours.command("up", name="c", timeout=20)
    else:
        charon.initiate()
    charon.until_child()
    until(lambda: inbound_spis(ours), 10, "we list the Child SA")


def connected(pair: Sites) -> bool:
    """Whether pings pass the tunnel both ways."""
    left, right = pair.hosts
    return ping(left, right.address, 3).received == 3 and ping(right, left.address, 3).received == 3


def inbound_spis(gateway: Gateway) -> frozenset[str]:
    """The inbound SPIs of a gateway's Child SAs."""
    sas = gateway.command("status")["ike_sas"]
    return frozenset(child["inbound_spi"] for ike in sas for child in ike["children"])


def ike_spis(gateway: Gateway) -> frozenset[str]:
    """The initiator SPIs of a gateway's IKE SAs."""
    return frozenset(ike["spi_i"] for ike in gateway.command("status")["ike_sas"])


def overrun(namespace: Namespace) -> dict[str, int]:
    """Packets a busy host could not take: at its NAT-T socket, and at the queue of its TUN."""
    with namespace.entered():
        sockets = [line.split() for line in Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]]
        devices = [line.split() for line in Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]]
    at_socket = sum(int(fields[-1]) for fields in sockets if fields[1].endswith(f":{4500:04X}"))
    return {"socket": at_socket, "queue": sum(int(fields[12]) for fields in devices if fields[0] == "ipsec0:")}


def own_drops(gateway: Gateway) -> dict[str, int]:
    """What a gateway's data plane has dropped so far, by reason."""
    counters = gateway.command("status")["dataplane"]["counters"]
    return {name: count for name, count in counters.items() if name.startswith("drop_") and count}


def missing_programs() -> list[str]:
    """What a test against strongSwan needs and this machine lacks."""
    lacking = [name for name in ("swanctl", "unshare", "mount") if shutil.which(name) is None]
    return lacking + ([] if CHARON.exists() else [str(CHARON)])
