"""strongSwan with ESP in user space (kernel-libipsec), its fastest AES-GCM first."""

from __future__ import annotations

import os
import secrets
import subprocess

from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Site, Tunnel
from ironswan.bench.tunnel.peers import private, swanctl_conf
from ironswan.lab.processes import Daemon, LabError, until
from ironswan.lab.traffic import Host

# aesni before openssl: charon's openssl plugin makes a new context for every packet.
PLUGINS = (
    "random nonce aesni aes sha1 sha2 hmac kdf gcm ctr curve25519 openssl pem pkcs1 pkcs8 "
    "kernel-libipsec kernel-netlink socket-default vici"
)
SETTINGS = """charon {{
  load = {plugins}
  install_virtual_ip = no
  plugins {{
    kernel-libipsec {{ allow_peer_ts = yes }}
    vici {{ socket = {uri} }}
  }}
}}
"""


class _Charon:
    def __init__(self, ground: Ground, site: Site, configuration: str, programs: Programs) -> None:
        self._folder = ground.folder / site.name
        self._folder.mkdir()
        self._uri = f"unix://{self._folder}/vici"
        self._swanctl = str(programs["swanctl"])
        (self._folder / "swanctl.conf").write_text(configuration, encoding="utf-8")
        settings = self._folder / "strongswan.conf"
        settings.write_text(SETTINGS.format(plugins=PLUGINS, uri=self._uri), encoding="utf-8")
        environment = {"STRONGSWAN_CONF": str(settings)}
        self.daemon: Daemon = private.start(ground, site, [str(programs["charon"])], environment)
        until(self._answers, 10, "charon answers")
        self.swanctl("--load-all", "--file", str(self._folder / "swanctl.conf"))

    def _answers(self) -> bool:
        if not self.daemon.running:
            raise LabError(f"charon ended: {self.daemon.text()[-300:]}")
        return self._call("--stats").returncode == 0

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [self._swanctl, *words, "--uri", self._uri]
        environment = {**os.environ, "SWANCTL_DIR": str(self._folder)}
        return subprocess.run(command, text=True, capture_output=True, timeout=60, check=False, env=environment)

    def swanctl(self, *words: str) -> None:
        """Run swanctl against this charon. Raises LabError."""
        done = self._call(*words)
        if done.returncode:
            raise LabError(f"swanctl {words[0]}: {done.stdout[-300:]} {done.stderr[-300:]}")


def _raise(ground: Ground, programs: Programs) -> Tunnel:
    secret = secrets.token_hex(32)
    charons = []
    for here, there in ground.pairs:
        here.namespace.add_address("lo", f"{here.inner}/32")
        charons.append(_Charon(ground, here, swanctl_conf.text(here, there, secret), programs))
    charons[0].swanctl("--initiate", "--child", swanctl_conf.CHILD, "--timeout", "20")
    left, right = (Host(site.namespace, site.inner) for site in (ground.left, ground.right))
    return Tunnel(left, right, tuple(charon.daemon.process.pid for charon in charons))


PEER = Peer(
    "strongswan",
    "strongSwan, kernel-libipsec, aesni first",
    swanctl_conf.CIPHER,
    _raise,
    needs=(("charon",), ("swanctl",)),
    how_to_get="Debian: apt install strongswan-charon strongswan-swanctl libcharon-extra-plugins "
    "libstrongswan-extra-plugins libstrongswan-standard-plugins",
)
