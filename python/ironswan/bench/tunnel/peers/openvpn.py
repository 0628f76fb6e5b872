"""OpenVPN in user space (without its kernel module), AES-128-GCM, certificates known by their fingerprints."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ironswan.bench.tunnel.link import await_address
from ironswan.bench.tunnel.peer import Ground, Peer, Programs, Site, Tunnel
from ironswan.lab.processes import Daemon
from ironswan.lab.traffic import Host

INTERFACE = "ovpn0"
PORT = 1194
CIPHER = "AES-128-GCM"
OPTIONS = (
    f"--dev {INTERFACE} --dev-type tun --proto udp --port {PORT} --disable-dco --data-ciphers {CIPHER} "
    f"--data-ciphers-fallback {CIPHER} --mssfix 0 --txqueuelen 1000 --sndbuf 8388608 "
    "--rcvbuf 8388608 --fast-io --verb 1 --dh none"
).split()


def certify(folder: Path, name: str) -> str:
    """Write `name`.crt and `name`.key, made on the spot; returns the fingerprint as OpenVPN writes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _command(program: Path, ground: Ground, here: Site, there: Site, fingerprint: str) -> list[str]:
    folder = ground.folder
    serves = here.name == "right"
    role = ["--tls-server"] if serves else ["--tls-client", "--remote", there.outer]
    keys = ["--cert", str(folder / f"{here.name}.crt"), "--key", str(folder / f"{here.name}.key")]
    ends = ["--local", here.outer, "--ifconfig", here.inner, there.inner, "--peer-fingerprint", fingerprint]
    return [str(program), *OPTIONS, "--tun-mtu", str(ground.inner_mtu), *role, *keys, *ends]


def _raise(ground: Ground, programs: Programs) -> Tunnel:
    folder = ground.folder
    prints = {site.name: certify(folder, site.name) for site in (ground.left, ground.right)}
    daemons = []
    for here, there in ground.pairs:
        command = _command(programs["openvpn"], ground, here, there, prints[there.name])
        daemon = Daemon(here.namespace, command, folder / f"{here.name}.log")
        ground.stack.callback(daemon.stop)
        daemons.append(daemon)
    for site in (ground.left, ground.right):
        await_address(site, INTERFACE)
    left, right = (Host(site.namespace, site.inner) for site in (ground.left, ground.right))
    return Tunnel(left, right, tuple(daemon.process.pid for daemon in daemons))


PEER = Peer(
    "openvpn",
    "OpenVPN, no kernel module",
    CIPHER,
    _raise,
    needs=(("openvpn",),),
    how_to_get="Debian: apt install openvpn",
)
