"""Plain ESP, protocol 50: by packet ring and frames, by raw sockets, beside ESP in UDP, and in fragments."""

import hashlib
import socket

import pytest
from test_security import send_inner
from test_traffic import tcp_transfer
from test_workers import send
from two_gateways import INNER, INNER6, OUTER, OUTER6, inside, run, wait_for

OCTETS = bytes(range(256)) * 20_000
IPV6_HOPOPTS, IPV6_DSTOPTS = socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS


def carries(pair, inner=INNER):
    assert tcp_transfer(pair, inner["a"], inner["b"], OCTETS) == hashlib.sha256(OCTETS).hexdigest()


@pytest.mark.parametrize("outer6", [False, True], ids=["outer4", "outer6"])
@pytest.mark.parametrize("suite", ["aes128gcm16", "aes128-sha256"])
def test_tcp_passes_as_frames_and_through_rings(make_pair, outer6, suite):
    pair = make_pair(outer6=outer6, mtu=1406)
    pair.join(plain="ab", suite=suite)
    pair.know_next_hops()
    wait_for(lambda: pair.b.plane.offloads()["esp_rings"])
    carries(pair)
    carries(pair, INNER6)
    # The last ACK may still be on its way.
    sealed = pair.a.counter("sealed_packets")
    wait_for(lambda: sealed <= min(pair.a.counter("plain_sends"), pair.b.counter("plain_packets")))
    assert pair.a.counter("plain_raw_sends") == pair.b.counter("plain_raw_packets") == 0
    assert pair.b.counter("coalesced_packets") > 0
    assert pair.b.counter("udp_datagrams") == pair.b.counter("drop_replayed") == 0


@pytest.mark.parametrize("outer6", [False, True], ids=["outer4", "outer6"])
def test_tcp_passes_through_the_kernels_ip_when_no_next_hop_is_known(make_pair, outer6):
    pair = make_pair(outer6=outer6, mtu=1406)
    pair.join(plain="ab")
    carries(pair)
    # The last ACK may be sealed and not sent yet.
    wait_for(lambda: pair.a.counter("plain_raw_sends") == pair.a.counter("sealed_packets") > 0)


def test_without_offloads_raw_sockets_carry_everything(make_pair):
    pair = make_pair(offloads="off")
    pair.join(plain="ab")
    carries(pair)
    # The last ACK may come between two readings.
    wait_for(lambda: pair.b.counter("plain_raw_packets") == pair.b.counter("plain_packets") > 0)
    assert not pair.b.plane.offloads()["esp_rings"]


@pytest.mark.parametrize("plain", ["a", "b"])
def test_either_form_is_taken_from_a_peer_at_any_time(make_pair, plain):
    pair = make_pair()
    pair.join(plain=plain)
    carries(pair)
    one, other = (pair.a, pair.b) if plain == "a" else (pair.b, pair.a)
    assert one.counter("plain_packets") == 0 < other.counter("plain_packets")
    assert other.counter("udp_datagrams") == 0 < one.counter("udp_datagrams")


@pytest.mark.parametrize("outer6", [False, True], ids=["outer4", "outer6"])
def test_packets_that_come_in_fragments_are_left_to_the_kernel_and_arrive(make_pair, outer6):
    pair = make_pair(outer6=outer6)
    pair.join(plain="ab")
    pair.know_next_hops()
    wait_for(lambda: pair.b.plane.offloads()["esp_rings"])
    for side in (pair.a, pair.b):
        run("ip", "-n", side.namespace, "link", "set", f"v{side.name}", "mtu", "1400")
    pair.know_next_hops()
    carries(pair)
    assert pair.a.counter("plain_raw_sends") > 0
    assert pair.b.counter("esp_ring_fallbacks") == 1
    assert pair.b.counter("plain_raw_packets") > 0


@pytest.mark.parametrize("header", [IPV6_HOPOPTS, IPV6_DSTOPTS], ids=["hop_by_hop", "destination"])
def test_packets_behind_extension_headers_are_left_to_the_kernel_and_arrive(make_pair, header):
    pair = make_pair(outer6=True)
    pair.join(plain="b")
    wait_for(lambda: pair.b.plane.offloads()["esp_rings"])
    with inside(pair.a.namespace):
        sealed = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ESP)
        pair.a.plane.update_endpoint(pair.a.handle, OUTER6["a"], 4500, OUTER6["a"], 4501)
    with sealed, raw:
        sealed.settimeout(5)
        sealed.bind((OUTER6["a"], 4501))
        # Next header, length, and padding as the only option.
        raw.setsockopt(socket.IPPROTO_IPV6, header, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
        # By the first it is seen that the ring does not suffice.
        for _ in range(2):
            send_inner(pair)
            raw.sendto(sealed.recv(65536), (OUTER6["b"], 0))
            wait_for(lambda: pair.b.counter("esp_ring_fallbacks") == 1)
        wait_for(lambda: pair.b.counter("opened_packets") > 0)
    assert pair.b.counter("plain_raw_packets") > 0


def test_packets_too_long_for_a_frame_of_the_ring_arrive(make_pair):
    pair = make_pair()
    pair.join(plain="ab")
    wait_for(lambda: pair.b.plane.offloads()["esp_rings"])
    for side in (pair.a, pair.b):
        run("ip", "-n", side.namespace, "link", "set", f"v{side.name}", "mtu", "4500")
        run("ip", "-n", side.namespace, "link", "set", "ipsec0", "mtu", "4000")
    carries(pair)
    assert pair.b.counter("esp_ring_fallbacks") == 1


def test_short_frames_lose_the_padding_of_the_link(make_pair):
    pair = make_pair()
    pair.join(plain="ab")
    pair.know_next_hops()
    wait_for(lambda: pair.b.plane.offloads()["esp_rings"])
    assert " 0% packet loss" in pair.a.run("ping", "-c", "3", "-i", "0.01", "-s", "0", "-W", "2", INNER["b"])


@pytest.mark.parametrize("outer6", [False, True], ids=["outer4", "outer6"])
def test_esp_that_is_only_forwarded_is_none_of_ours_and_leaves_the_ring_alone(make_pair, outer6):
    pair = make_pair(outer6=outer6, mtu=1406)
    pair.join(plain="ab")
    pair.know_next_hops()
    wait_for(lambda: pair.b.plane.offloads()["esp_rings"])
    # With this a socket can have every address.
    pair.b.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv{6 if outer6 else 4}/ip_nonlocal_bind")
    elsewhere, family = ("fd00:cb::9", ("-6",)) if outer6 else ("203.0.113.9", ())
    run("ip", "-n", pair.a.namespace, *family, "route", "add", elsewhere, "via", pair.outer["b"])
    with inside(pair.a.namespace):
        raw = socket.socket(socket.AF_INET6 if outer6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP)
    with raw:
        for octets in (60, 3000):
            raw.sendto(b"\x7f\xff\xff\xfe" + bytes(octets), (elsewhere, 0))
    carries(pair)
    assert pair.b.counter("esp_ring_fallbacks") == pair.b.counter("drop_unknown_spi") == 0


@pytest.mark.parametrize("outer6", [False, True], ids=["outer4", "outer6"])
def test_garbage_is_dropped_by_reason_and_changes_nothing(make_pair, outer6):
    pair = make_pair(outer6=outer6, mtu=1406)
    pair.join(plain="ab")
    wait_for(lambda: pair.b.plane.offloads()["esp_rings"])
    target = (OUTER6 if outer6 else OUTER)["b"]
    with inside(pair.a.namespace):
        raw = socket.socket(socket.AF_INET6 if outer6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP)
    spi = pair.b.spi.to_bytes(4, "big")
    with raw:
        for octets in (b"", b"abc", b"\x7f\xff\xff\xfe" + bytes(60), spi + bytes(4), spi + bytes(61), spi + bytes(60)):
            raw.sendto(octets, (target, 0))
        reasons = ("drop_runt", "drop_unknown_spi", "drop_malformed_esp", "drop_icv_mismatch", "drop_replayed")
        wait_for(lambda: sum(pair.b.counter(reason) for reason in reasons) == 6)
    assert pair.b.plane.inbound_counters(pair.b.spi) == (0, 0)
    carries(pair)


def test_plain_esp_does_not_move_a_peer(make_pair):
    pair = make_pair()
    pair.join(plain="a")
    carries(pair)
    kinds = [getattr(notice, "kind", "") for notice in pair.b.plane.drain()]
    assert "first_packet" in kinds
    assert "peer_moved" not in kinds


def test_an_sa_moves_between_udp_and_plain(make_pair):
    pair = make_pair()
    pair.join()
    carries(pair)
    for x, y in ("ab", "ba"):
        side = pair.sides[x]
        side.plane.update_endpoint(side.handle, OUTER[x], 4500, OUTER[y], 4500, udp_encap=False)
    # The last ACK may still be on its way.
    wait_for(lambda: pair.b.counter("opened_packets") == pair.a.counter("sealed_packets"))
    before = pair.b.counter("udp_datagrams")
    carries(pair)
    assert pair.b.counter("udp_datagrams") == before
    assert pair.b.counter("plain_packets") > 0


def test_plain_esp_needs_an_address_of_ours(make_pair):
    pair = make_pair()
    pair.join()
    with pytest.raises(ValueError, match="local address of the same version"):
        pair.a.plane.update_endpoint(pair.a.handle, "0.0.0.0", 0, OUTER["b"], 0, udp_encap=False)


def test_workers_do_not_give_their_packets_the_same_identifications(make_pair):
    """RFC 791 3.2: fragments of two packets with the same one would be put together."""
    pair = make_pair(workers=2)
    pair.join(plain="ab")
    pair.know_next_hops()
    with inside(pair.b.namespace):
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    with sniffer:
        sniffer.bind(("vb", 0x0800))
        sniffer.settimeout(5)
        count = send(pair, each=1)
        packets = [sniffer.recv(2048) for _ in range(count)]
    assert all(worker["sealed_packets"] for worker in pair.a.plane.worker_counters())
    identifications = [packet[4:6] for packet in packets if packet[9] == socket.IPPROTO_ESP]
    assert len(set(identifications)) == len(identifications) == count
