"""Nebula, with its AES cipher."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ironswan.bench.tunnel.link import await_address
from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Site, Tunnel
from ironswan.lab.processes import Daemon, LabError
from ironswan.lab.traffic import Host

INTERFACE = "nebula0"
PORT = 4242
CONFIGURATION = """pki: {{ca: {folder}/ca.crt, cert: {folder}/{name}.crt, key: {folder}/{name}.key}}
static_host_map: {{"{peer}": ["{remote}:{port}"]}}
lighthouse: {{am_lighthouse: {lighthouse}, hosts: [{lighthouses}]}}
listen: {{host: {local}, port: {port}, batch: 64, read_buffer: 10485760, write_buffer: 10485760}}
tun: {{dev: {interface}, mtu: {mtu}, tx_queue: 1000}}
cipher: aes
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
logging: {{level: error}}
"""


def configuration(folder: Path, here: Site, there: Site, mtu: int) -> str:
    """The configuration of one side; the right one is the lighthouse."""
    lighthouse = here.name == "right"
    return CONFIGURATION.format(
        folder=folder,
        name=here.name,
        peer=there.inner,
        local=here.outer,
        remote=there.outer,
        port=PORT,
        lighthouse=str(lighthouse).lower(),
        lighthouses="" if lighthouse else f'"{there.inner}"',
        interface=INTERFACE,
        mtu=mtu,
    )


def _certify(program: Path, folder: Path, *words: str) -> None:
    done = subprocess.run([str(program), *words], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise LabError(f"nebula-cert {words[0]}: {done.stderr.strip()[-200:]}")


def _raise(ground: Ground, programs: Programs) -> Tunnel:
    folder = ground.folder
    _certify(programs["nebula-cert"], folder, "ca", "-name", "bench")
    daemons = []
    for here, there in ground.pairs:
        _certify(programs["nebula-cert"], folder, "sign", "-name", here.name, "-networks", f"{here.inner}/24")
        file = folder / f"{here.name}.yml"
        file.write_text(configuration(folder, here, there, ground.inner_mtu), encoding="utf-8")
        daemon = Daemon(here.namespace, [str(programs["nebula"]), "-config", str(file)], folder / f"{here.name}.log")
        ground.stack.callback(daemon.stop)
        await_address(here, INTERFACE)
        daemons.append(daemon)
    left, right = (Host(site.namespace, site.inner) for site in (ground.left, ground.right))
    return Tunnel(left, right, tuple(daemon.process.pid for daemon in daemons))


PEER = Peer(
    "nebula",
    "Nebula",
    "AES-256-GCM",
    _raise,
    needs=(("nebula",), ("nebula-cert",)),
    how_to_get="go install github.com/slackhq/nebula/cmd/nebula@latest, and the same for nebula-cert",
    version=("-version",),
)
