"""What must not pass, does not, and is counted."""

import socket

import pytest
from two_gateways import INNER, INNER6, KEYS, OUTER, inside, wait_for, whole

from ironswan import _native


def udp_socket(side, address="", port=0):
    with inside(side.namespace):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, port))
    return opened


def send_inner(pair, target=INNER["b"], port=9, count=1):
    with udp_socket(pair.a, INNER["a"]) as source:
        for _ in range(count):
            source.sendto(b"inner", (target, port))


def counted(side, name, at_least=1):
    return wait_for(lambda: side.counter(name) >= at_least)


def esp_on_the_wire(pair):
    """Send one inner packet while a sniffer looks; return the ESP datagram and let it reach b."""
    with inside(pair.b.namespace):
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    with sniffer:
        sniffer.bind(("vb", 0x0800))
        sniffer.settimeout(5)
        send_inner(pair)
        while True:
            packet = sniffer.recv(65536)
            if packet[9] == 17 and packet[22:24] == (4500).to_bytes(2, "big") and b"inner" not in packet:
                return packet[28:]


def test_a_replayed_datagram_is_dropped_and_counted(joined):
    """E05."""
    datagram = esp_on_the_wire(joined)
    counted(joined.b, "opened_packets")
    opened = joined.b.counter("opened_packets")
    with udp_socket(joined.a) as attacker:
        for _ in range(3):
            attacker.sendto(datagram, (OUTER["b"], 4500))
    counted(joined.b, "drop_replayed", 3)
    assert joined.b.counter("opened_packets") == opened


def test_a_changed_datagram_is_dropped_and_moves_no_window(joined):
    """E04, E17."""
    datagram = bytearray(esp_on_the_wire(joined))
    counted(joined.b, "opened_packets")
    datagram[4:8] = (0x7000_0000).to_bytes(4, "big")
    with udp_socket(joined.a) as attacker:
        attacker.sendto(datagram, (OUTER["b"], 4500))
    counted(joined.b, "drop_icv_mismatch")
    assert " 0% packet loss" in joined.a.run("ping", "-c", "3", "-i", "0.01", "-W", "2", INNER["b"])


def test_an_inner_source_outside_the_selectors_is_dropped(make_pair):
    """T15, RFC 4301 5.2: authentic is not enough."""
    pair = make_pair()
    pair.join(remote_ts_b=[whole("10.202.9.9")])
    send_inner(pair, count=3)
    counted(pair.b, "drop_selector_mismatch", 3)
    assert pair.b.counter("tun_writes") == pair.b.counter("opened_packets") == 0
    assert pair.b.plane.inbound_counters(pair.b.spi) == (0, 0)
    assert pair.b.hear(_native.SaNotice, kind="first_packet").spi == pair.b.spi


def test_a_port_outside_the_selectors_is_dropped(make_pair):
    pair = make_pair()
    pair.join(remote_ts_b=[whole(INNER["a"], 17, (1, 1))])
    send_inner(pair)
    counted(pair.b, "drop_selector_mismatch")


def test_without_a_policy_nothing_leaves(make_pair):
    pair = make_pair()
    pair.install()
    before = pair.a.counter("drop_no_policy")
    send_inner(pair, count=4)
    counted(pair.a, "drop_no_policy", before + 4)
    assert pair.a.counter("sealed_packets") == 0


def test_garbage_on_the_shared_port_is_counted(joined):
    with udp_socket(joined.a) as attacker:
        for data in (b"", b"\x01", b"\x00\x00\x00", b"\xff", b"\xde\xad\xbe\xef" * 20, b"\0\0\0\0"):
            attacker.sendto(data, (OUTER["b"], 4500))
        short = joined.b.spi.to_bytes(4, "big") + b"\0\0\0\1" + b"x" * 8
        attacker.sendto(short, (OUTER["b"], 4500))
    counted(joined.b, "drop_runt", 4)
    counted(joined.b, "keepalives")
    counted(joined.b, "drop_unknown_spi")
    counted(joined.b, "drop_malformed_esp")
    assert joined.b.counter("opened_packets") == 0


def test_a_hard_limit_stops_the_sa(make_pair):
    pair = make_pair()
    pair.join(soft_packets=2, hard_packets=4)
    send_inner(pair, count=9)
    counted(pair.a, "drop_sa_expired", 5)
    spi = pair.b.spi
    assert pair.a.hear(_native.SaNotice, kind="soft_packets").spi == spi
    assert pair.a.hear(_native.SaNotice, kind="hard_packets").spi == spi
    assert pair.a.plane.outbound_counters(pair.a.handle)[0] == 4


def test_an_sa_removed_sends_nothing_more(joined):
    send_inner(joined)
    counted(joined.b, "opened_packets")
    joined.a.plane.remove_outbound(joined.a.handle)
    send_inner(joined)
    assert joined.a.hear(_native.Acquire).policy_id == 1
    with pytest.raises(ValueError, match="no outbound SA"):
        joined.a.plane.bind_policy(1, joined.a.handle)


def test_a_closed_data_plane_refuses_and_frees_its_ports(make_pair):
    pair = make_pair()
    pair.a.plane.close()
    pair.a.plane.close()
    with pytest.raises(RuntimeError, match="closed"):
        pair.a.plane.counters()
    with inside(pair.a.namespace):
        _native.DataPlane(tun_name="ipsec0").close()


def test_a_port_in_use_is_an_error_that_names_it(make_pair):
    pair = make_pair()
    with inside(pair.a.namespace), pytest.raises(OSError, match="port 4500"):
        _native.DataPlane(tun_name="ipsec1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": "rot13"}, "unknown suite"),
        ({"keymat": b"short"}, "keymat"),
        ({"local_addr": "nowhere"}, "no IP address"),
    ],
)
def test_what_makes_no_sense_is_refused(make_pair, change, message):
    pair = make_pair()
    words = {"suite": "aes256gcm16", "keymat": KEYS["a"][:36], "local_addr": OUTER["a"], **change}
    suite, keymat = words.pop("suite"), words.pop("keymat")
    with pytest.raises(ValueError, match=message):
        pair.a.plane.install_outbound(
            7000, suite, keymat, esn=False, local_port=4500, remote_addr=OUTER["b"], remote_port=4500, **words
        )
    with pytest.raises(ValueError, match="families differ"):
        pair.a.plane.add_policy(9, [(0, INNER["a"], INNER6["a"], 0, 65535)], [whole(INNER["b"])])
