"""What no two protected messages may share: the IV under one key (RFC 5282 3.1, RFC 5930 2, RFC 7296 3.14)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from scenarios import child, connection, established, ike

from ironswan.policy.connection import Settings
from ironswan.wire.encrypted import EncryptedFragment, EncryptedPayload
from ironswan.wire.message import read_message

COUNTED = [
    "aes128gcm8-prfsha256",
    "aes192gcm12-prfsha256",
    "aes256gcm16-prfsha384",
    "aes128ccm8-prfsha256",
    "aes256ccm12-prfsha256",
    "aes128ccm16-prfsha256",
    "chacha20poly1305-prfsha256",
    "aes128ctr-sha256",
    "aes256ctr-sha512",
]
DRAWN = ["aes128-sha256", "aes256-sha512"]


def many(local):
    """So many selectors that messages with them go in fragments."""
    return tuple(child(local=f"10.{net}.{n}.0/24").local_ts[0] for net in (local,) for n in range(60))


def busy(suite):
    """An IKE SA on which both sides ask and answer, rekeyed in between, through a network that loses and repeats."""
    policy = replace(child(), local_ts=many(1), remote_ts=many(2))
    net = established(
        connection((policy,), proposals=ike(f"{suite}-x25519"), dpd_delay=10.0),
        settings=Settings(fragment_size=576, retransmit_tries=20, retransmit_base=1.2),
    )
    net.traffic = False
    net.fate = lambda n, host, datagram: [n.random.random() for _ in range(n.random.choice([0, 1, 1, 2]))]
    for _ in range(2):
        for host in net.hosts:
            host.engine.rekey_child(host.child(), net.now)
            net.run(100)
        net.moon.engine.rekey_ike(net.moon.ike(), net.now)
        net.run(100)
    return net


def ivs(net, length):
    """By key, that is by IKE SA and sender: the IVs of all different datagrams, and how many of these were fragments.

    A retransmission is the same octets again and gives nothing away.
    """
    found, fragments = defaultdict(list), 0
    for host, data in dict.fromkeys((host, datagram.data) for _, host, datagram in net.sent):
        message = read_message(data)
        payload = message.payloads[-1] if message.payloads else None
        if isinstance(payload, EncryptedPayload | EncryptedFragment):
            fragments += isinstance(payload, EncryptedFragment)
            found[message.header.spi_i, message.header.spi_r, host.name].append(payload.body[:length])
    return found, fragments


@pytest.mark.parametrize("suite", COUNTED + DRAWN)
def test_no_iv_comes_twice_under_one_key(suite):
    net = busy(suite)
    found, fragments = ivs(net, 16 if suite in DRAWN else 8)
    assert len(found) == 6, "three IKE SAs, each with a key of either side"
    assert fragments > 20
    for drawn in found.values():
        assert len(drawn) >= 2
        assert len(set(drawn)) == len(drawn)


def test_ivs_do_not_begin_anew_on_a_long_lived_ike_sa():
    net = established(connection(proposals=ike("aes128gcm16-prfsha256-x25519"), dpd_delay=1.0))
    net.traffic = False
    net.run(400)
    found, _ = ivs(net, 8)
    for drawn in found.values():
        assert len(drawn) > 300
        assert len(set(drawn)) == len(drawn)
