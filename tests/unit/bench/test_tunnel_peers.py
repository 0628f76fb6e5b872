"""How the tunnel benchmark configures its peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ironswan.bench.tunnel.link import INNER, OUTER
from ironswan.bench.tunnel.peer import Site
from ironswan.bench.tunnel.peers import nebula, openvpn, swanctl_conf, wireguard
from ironswan.config.loader import load

NOWHERE: Any = None
LEFT, RIGHT = (Site(*each) for each in zip(("left", "right"), (NOWHERE, NOWHERE), OUTER, INNER, strict=True))


def test_configuration_of_ironswan_and_strongswan_has_no_errors(tmp_path: Path) -> None:
    file = tmp_path / "swanctl.conf"
    file.touch(0o600)
    file.write_text(swanctl_conf.text(LEFT, RIGHT, "00" * 32))
    load(file)


def test_wireguard_request_has_both_keys_and_ends_with_an_empty_line() -> None:
    own, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    request = wireguard.settings(own, other, RIGHT)
    fields = dict(line.split("=", 1) for line in request.strip().splitlines())
    assert fields["private_key"] == own.private_bytes_raw().hex()
    assert fields["public_key"] == other.public_key().public_bytes_raw().hex()
    assert (fields["endpoint"], fields["allowed_ip"]) == (f"{OUTER[1]}:51820", f"{INNER[1]}/32")
    assert request.endswith("\n\n")


def test_openvpn_knows_the_other_side_by_the_fingerprint_of_its_certificate(tmp_path: Path) -> None:
    fingerprint = openvpn.certify(tmp_path, "left")
    certificate = x509.load_pem_x509_certificate((tmp_path / "left.crt").read_bytes())
    assert bytes.fromhex(fingerprint.replace(":", "")) == certificate.fingerprint(hashes.SHA256())
    assert "PRIVATE KEY" in (tmp_path / "left.key").read_text()


def test_one_side_of_nebula_is_the_lighthouse_of_the_other(tmp_path: Path) -> None:
    left, right = nebula.configuration(tmp_path, LEFT, RIGHT, 1420), nebula.configuration(tmp_path, RIGHT, LEFT, 1420)
    assert f'am_lighthouse: false, hosts: ["{INNER[1]}"]' in left
    assert "am_lighthouse: true, hosts: []" in right
