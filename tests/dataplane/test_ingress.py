"""What the receiving side looks at packet by packet, also where one message of the kernel has several."""

import socket
import struct

import pytest
from test_security import counted, udp_socket
from test_workers import UDP_SEGMENT, inner_packet
from two_gateways import INNER, KEYS, OUTER, inside, whole

from ironswan import _native, esp

SUITE = "aes128gcm16"
ELSEWHERE = "10.202.9.9"
PEER_PORT = 4711
IPV4, IPV6 = 4, 41


def header(length, protocol):
    """IPv4 from a to b, in front of `length` octets."""
    addresses = (socket.inet_aton(INNER[x]) for x in "ab")
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0x4000, 64, protocol, 0, *addresses)


PACKET = inner_packet(100)
PACKET6 = struct.pack("!IHBB", 6 << 28, 8, 17, 64) + bytes(40)


def peer(spi, number=1, **options):
    return esp.OutboundSa(spi, SUITE, bytes([number]) * 20, **({"tunnel": (OUTER["a"], OUTER["b"])} | options))


def add_sa(pair, number=1, *, remote=INNER["a"], **limits):
    """An inbound SA of b for packets from `remote`; what the peer seals with."""
    spi = pair.b.plane.allocate_spi()
    pair.b.plane.install_inbound(
        spi, SUITE, bytes([number]) * 20, esn=False, replay_window=64, remote_ts=[whole(remote)],
        local_ts=[whole(INNER["b"])], remote_addr=OUTER["a"], remote_port=PEER_PORT, **limits,
    )  # fmt: skip
    return peer(spi, number)


def seal(sa, *inner, **options):
    return sa.encap(esp.PacketBatch(inner), **options).packets.tolist()


def send(pair, *datagrams, port=PEER_PORT):
    """Datagrams of one length, which b gets as one message of the kernel."""
    messages, before = pair.b.counter("udp_receive_messages"), pair.b.counter("udp_datagrams")
    with udp_socket(pair.a, OUTER["a"], port) as source:
        control = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", len(datagrams[0])))]
        source.sendmsg([b"".join(datagrams)], control, 0, (OUTER["b"], 4500))
        sent_from = source.getsockname()[1]
    counted(pair.b, "udp_datagrams", before + len(datagrams))
    assert pair.b.counter("udp_receive_messages") == messages + 1
    return sent_from


def next_notice(pair):
    """What b says next of its SAs: kind, SPI and the port of its peer."""
    notice = pair.b.hear(_native.SaNotice)
    return notice.kind, notice.spi, notice.remote_port


def written(pair):
    """A socket that sees the IPv4 packets b writes to its TUN."""
    with inside(pair.b.namespace):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    tap.bind(("ipsec0", 0x0800))
    tap.settimeout(5)
    return tap


def test_an_sa_is_not_good_for_the_flow_of_another_before_it_in_a_message(make_pair):
    """RFC 4301 5.2: the selectors are those of the SA that carried the packet."""
    pair = make_pair()
    right, wrong = add_sa(pair, 1), add_sa(pair, 2, remote=ELSEWHERE)
    send(pair, *seal(right, PACKET), *seal(wrong, PACKET))
    counted(pair.b, "drop_selector_mismatch")
    assert pair.b.plane.inbound_drops(wrong.spi)["drop_selector_mismatch"] == 1
    assert pair.b.plane.inbound_counters(wrong.spi) == (0, 0)
    counted(pair.b, "opened_packets")
    assert pair.b.plane.inbound_counters(right.spi) == (1, len(PACKET))


@pytest.mark.parametrize("count", [2, 8, 40])
def test_every_packet_of_a_message_is_dropped_whose_flow_the_selectors_do_not_have(make_pair, count):
    pair = make_pair()
    send(pair, *seal(add_sa(pair, remote=ELSEWHERE), *[PACKET] * count))
    counted(pair.b, "drop_selector_mismatch", count)
    assert pair.b.counter("opened_packets") == pair.b.counter("tun_writes") == 0


def test_a_forged_packet_is_no_sign_of_the_peer(make_pair):
    """E17, T18: neither that the SA is in use nor where the peer is."""
    pair = make_pair()
    sa = add_sa(pair)
    (datagram,) = seal(sa, PACKET)
    send(pair, datagram[:-1] + bytes([datagram[-1] ^ 1]), port=0)
    counted(pair.b, "drop_icv_mismatch")
    send(pair, datagram)
    assert next_notice(pair) == ("first_packet", sa.spi, PEER_PORT)
    elsewhere = send(pair, *seal(sa, PACKET), port=0)
    assert next_notice(pair) == ("peer_moved", sa.spi, elsewhere)


def test_a_replayed_packet_is_no_sign_of_the_peer(make_pair):
    """T18: not even when it is the newest."""
    pair = make_pair()
    sa = add_sa(pair)
    (datagram,) = seal(sa, PACKET)
    send(pair, datagram)
    assert next_notice(pair) == ("first_packet", sa.spi, PEER_PORT)
    send(pair, datagram, port=0)
    counted(pair.b, "drop_replayed")
    elsewhere = send(pair, *seal(sa, PACKET), port=0)
    assert next_notice(pair) == ("peer_moved", sa.spi, elsewhere)


@pytest.mark.parametrize("padded_to", [100, 1000])
def test_padding_that_hides_the_length_is_not_handed_on(make_pair, padded_to):
    """RFC 4303 2.7."""
    pair = make_pair()
    sa = add_sa(pair)
    (datagram,) = seal(peer(sa.spi, tfc=padded_to), PACKET)
    assert len(datagram) > padded_to
    with written(pair) as tap:
        send(pair, datagram)
        assert tap.recv(65536) == PACKET
    counted(pair.b, "opened_packets")
    assert pair.b.plane.inbound_counters(sa.spi) == (1, len(PACKET))


@pytest.mark.parametrize(
    ("inner", "next_header"),
    [(PACKET[:-1], IPV4), (PACKET[:19], IPV4), (PACKET6[:-1], IPV6), (PACKET, IPV6), (PACKET6, IPV4), (PACKET, 61)],
    ids=["cut", "half a header", "cut6", "IPv4 as IPv6", "IPv6 as IPv4", "no IP"],
)
def test_an_authentic_payload_that_is_no_packet_is_dropped_and_counted(make_pair, inner, next_header):
    pair = make_pair()
    sa = add_sa(pair)
    # Transport mode seals any payload, and looks the same on the wire.
    any_payload = peer(sa.spi, mode="transport", tunnel=None)
    send(pair, *seal(any_payload, PACKET, next_header=IPV4))
    counted(pair.b, "opened_packets")
    send(pair, *seal(any_payload, inner, next_header=next_header))
    counted(pair.b, "drop_bad_inner")
    assert pair.b.plane.inbound_drops(sa.spi)["drop_bad_inner"] == 1
    assert pair.b.counter("opened_packets") == pair.b.counter("tun_writes") == 1


@pytest.mark.parametrize("limit", [{"hard_packets": 3}, {"hard_bytes": 201}], ids=["packets", "octets"])
def test_a_hard_limit_stops_an_inbound_sa(make_pair, limit):
    """RFC 4301 4.4.2.1: whichever direction has carried so much."""
    pair = make_pair()
    sa = add_sa(pair, **limit)
    for datagram in seal(sa, *[PACKET] * 3):
        send(pair, datagram)
    assert pair.b.hear(_native.SaNotice, kind=next(iter(limit))).spi == sa.spi
    for count in (1, 4):
        send(pair, *seal(sa, *[PACKET] * count))
    counted(pair.b, "drop_sa_expired", 5)
    assert pair.b.plane.inbound_drops(sa.spi)["drop_sa_expired"] == 5
    assert pair.b.plane.inbound_counters(sa.spi) == (3, 300)


@pytest.mark.parametrize("path", [0, 1000])
def test_a_connection_from_the_peer_is_told_what_the_way_back_carries(make_pair, path):
    pair = make_pair()
    pair.install(suite=SUITE)
    pair.b.plane.clamp_mss(1400)
    most = min(1400, pair.b.plane.set_path_mtu(pair.b.handle, path))
    assert (most < 1000) == bool(path)
    tcp = struct.pack("!HHIIBBHHHBBH", 4711, 80, 1, 0, 0x60, 0x02, 65535, 0, 0, 2, 4, 1460)
    sa = esp.OutboundSa(pair.b.spi, SUITE, KEYS["a"][:20], tunnel=(OUTER["a"], OUTER["b"]))
    with written(pair) as tap:
        send(pair, *seal(sa, header(len(tcp), 6) + tcp))
        assert int.from_bytes(tap.recv(65536)[-2:]) == most - 40
