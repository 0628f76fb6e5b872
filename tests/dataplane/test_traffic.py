"""Real traffic through two data planes: every family, protocol, suite and offload mode arrives whole."""

import hashlib
import socket
import threading

import pytest
from two_gateways import INNER, INNER6, inside, run, wait_for


def tcp_transfer(pair, source, target, octets, segment=0):
    """Send octets over one TCP connection from side a to side b, in segments so long; return what b received."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with inside(pair.b.namespace):
        listener = socket.create_server((target, 0), family=family)
    with inside(pair.a.namespace):
        client = socket.socket(family)
    if segment:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
    received = hashlib.sha256()

    def serve():
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1 << 18):
                received.update(data)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    with listener, client:
        client.settimeout(20)
        client.bind((source, 0))
        client.connect(listener.getsockname()[:2])
        client.sendall(octets)
        client.shutdown(socket.SHUT_WR)
        server.join(20)
    return received.hexdigest()


@pytest.mark.parametrize("offloads", ["auto", "off"])
@pytest.mark.parametrize("outer6", [False, True])
def test_ping_passes_in_both_families(make_pair, offloads, outer6):
    pair = make_pair(offloads=offloads, outer6=outer6)
    pair.join()
    for target in (INNER["b"], INNER6["b"]):
        assert " 0% packet loss" in pair.a.run("ping", "-c", "5", "-i", "0.01", "-W", "2", target)
    assert pair.a.plane.outbound_counters(pair.a.handle)[0] == 10
    assert pair.b.plane.inbound_counters(pair.b.spi)[0] == 10


SUITES = ("aes128gcm16", "aes256gcm16", "chacha20poly1305", "aes128-sha256", "aes256ctr-sha512", "null-sha1")


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("inner", [INNER, INNER6], ids=["inner4", "inner6"])
def test_tcp_arrives_unchanged(make_pair, suite, inner):
    pair = make_pair()
    pair.join(suite=suite)
    octets = bytes(range(256)) * 40_000
    assert tcp_transfer(pair, inner["a"], inner["b"], octets) == hashlib.sha256(octets).hexdigest()
    assert pair.b.counter("coalesced_packets") > 0
    assert pair.a.counter("udp_send_runs") < pair.a.counter("sealed_packets")


@pytest.mark.parametrize("options", [{"offloads": "off"}, {"workers": 2}, {"outer6": True, "mtu": 1406}])
def test_tcp_arrives_unchanged_in_every_mode(make_pair, options):
    pair = make_pair(**options)
    pair.join()
    octets = bytes(range(256)) * 20_000
    assert tcp_transfer(pair, INNER["a"], INNER["b"], octets) == hashlib.sha256(octets).hexdigest()
    assert pair.b.counter("drop_replayed") == 0


def test_a_path_too_narrow_for_segments_falls_back_to_single_datagrams(make_pair):
    pair = make_pair()
    pair.join()
    for side in (pair.a, pair.b):
        run("ip", "-n", side.namespace, "link", "set", f"v{side.name}", "mtu", "1400")
    octets = bytes(range(256)) * 4_000
    assert tcp_transfer(pair, INNER["a"], INNER["b"], octets) == hashlib.sha256(octets).hexdigest()
    assert pair.a.counter("segmentation_fallbacks") > 0


def test_udp_datagrams_of_many_sizes_arrive_in_order(joined):
    with inside(joined.b.namespace):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(joined.a.namespace):
        source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sink, source:
        sink.bind((INNER["b"], 0))
        sink.settimeout(5)
        source.bind((INNER["a"], 0))
        sent = [bytes([number % 256]) * (1 + number % 50 * 60) for number in range(200)]
        received = []
        for start in range(0, len(sent), 50):
            for data in sent[start : start + 50]:
                source.sendto(data, sink.getsockname())
            received += [sink.recv(65536) for _ in range(50)]
    assert received == sent


def test_two_workers_keep_one_sa_within_a_narrow_window(make_pair):
    pair = make_pair(workers=2, b={"workers": 1})
    pair.join(replay_window=32)
    threads = []
    for port in range(4):
        octets = bytes([port]) * 2_000_000
        threads.append(threading.Thread(target=tcp_transfer, args=(pair, INNER["a"], INNER["b"], octets)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: pair.b.counter("opened_packets") >= 8_000_000 // 1400)
    assert pair.b.counter("drop_replayed") == 0


def test_super_packets_of_very_many_small_segments_arrive(make_pair):
    """More of them than the transmit arena has room for at first."""
    pair = make_pair()
    pair.join()
    octets = bytes(range(256)) * 8_000
    assert tcp_transfer(pair, INNER["a"], INNER["b"], octets, segment=88) == hashlib.sha256(octets).hexdigest()
    assert pair.a.counter("sealed_packets") > len(octets) // 88
    assert pair.a.plane.batches()["tun_read"][-1] > 0


@pytest.mark.parametrize("clamping", ["a", "b"])
@pytest.mark.parametrize("inner", [INNER, INNER6], ids=["inner4", "inner6"])
def test_either_gateway_lowers_the_mss_of_both_directions(make_pair, clamping, inner):
    pair = make_pair()
    pair.join()
    pair.sides[clamping].plane.clamp_mss(1000)
    v6 = ":" in inner["a"]
    family = socket.AF_INET6 if v6 else socket.AF_INET
    with inside(pair.b.namespace):
        listener = socket.create_server((inner["b"], 0), family=family)
    with inside(pair.a.namespace):
        client = socket.socket(family)
    with listener, client:
        client.settimeout(5)
        client.connect(listener.getsockname()[:2])
        server, _ = listener.accept()
        with server:
            most = 1000 - (60 if v6 else 40)
            for end in (client, server):
                assert most - 20 <= end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= most
