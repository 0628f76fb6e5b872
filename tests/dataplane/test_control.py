"""What the control plane hears and does: IKE messages, acquires, rekeys, peers that move."""

import contextlib
import itertools
import select
import socket
import threading
from pathlib import Path

import pytest
from test_security import counted, send_inner, udp_socket
from test_workers import inner_packet
from two_gateways import INNER, KEYS, OUTER, OUTER6, inside, run, wait_for

from ironswan import _native

IKE = b"spi of i" + bytes(16) + (34).to_bytes(4, "big") + b"a body"


def test_ike_messages_reach_drain_without_the_marker(make_pair):
    pair = make_pair()
    for port in (500, 4500):
        for outer in (OUTER, OUTER6):
            assert pair.a.plane.send(outer["a"], port, outer["b"], port, IKE)
            heard = pair.b.hear(_native.IkeDatagram)
            assert (heard.local_addr, heard.local_port) == (outer["b"], port)
            assert (heard.remote_addr, heard.remote_port) == (outer["a"], port)
            assert heard.data == IKE


def test_the_descriptor_is_readable_only_while_something_waits(make_pair):
    pair = make_pair()
    poll = select.poll()
    poll.register(pair.b.plane.fileno(), select.POLLIN)
    assert not poll.poll(0)
    pair.a.plane.send(OUTER["a"], 500, OUTER["b"], 500, IKE)
    assert poll.poll(5000)
    assert len(pair.b.plane.drain()) == 1
    assert not poll.poll(0)


def test_a_keepalive_is_one_octet_without_marker(make_pair):
    pair = make_pair()
    assert pair.a.plane.send(OUTER["a"], 4500, OUTER["b"], 4500, b"\xff")
    counted(pair.b, "keepalives")
    assert pair.b.counter("ike_datagrams") == 0


def test_a_flood_of_ike_is_bounded_and_counted(make_pair):
    pair = make_pair()
    with udp_socket(pair.a) as attacker:
        attacker.connect((OUTER["b"], 500))
        for _ in range(5000):
            attacker.send(IKE)
    counted(pair.b, "ike_datagrams", 5000)
    assert pair.b.counter("drop_ike_rate") + pair.b.counter("drop_ike_queue_full") == 5000 - 1024
    waiting = list(iter(lambda: len(pair.b.plane.drain()), 0))
    assert sum(waiting) == 1024
    assert max(waiting) == 128


def test_messages_of_ike_sas_there_are_get_through_a_flood_of_others(make_pair):
    pair = make_pair()
    known = b"known SA" + IKE[8:]
    pair.b.plane.admit_ike(known[:8])
    with udp_socket(pair.a) as attacker:
        attacker.connect((OUTER["b"], 500))
        for _ in range(5000):
            attacker.send(IKE)
    assert pair.a.plane.send(OUTER["a"], 500, OUTER["b"], 500, known)
    counted(pair.b, "ike_datagrams", 5001)
    assert pair.b.plane.drain()[0].data == known
    pair.b.plane.dismiss_ike(known[:8])
    while pair.b.plane.drain():
        pass
    for data in (IKE, known):
        assert pair.a.plane.send(OUTER["a"], 500, OUTER["b"], 500, data)
    assert [pair.b.hear(_native.IkeDatagram).data for _ in range(2)] == [IKE, known]
    with pytest.raises(ValueError, match="length"):
        pair.b.plane.admit_ike(b"short")


def test_traffic_without_sa_is_held_acquires_and_is_sent_once_bound(make_pair):
    pair = make_pair()
    pair.install()
    pair.a.plane.add_policy(7, pair.selectors("a"), pair.selectors("b"))
    with udp_socket(pair.b, INNER["b"], 5000) as sink, udp_socket(pair.a, INNER["a"], 6000) as source:
        sink.settimeout(5)
        for number in range(3):
            source.sendto(bytes([number]), (INNER["b"], 5000))
        acquire = pair.a.hear(_native.Acquire)
        assert (acquire.policy_id, acquire.src, acquire.dst) == (7, INNER["a"], INNER["b"])
        assert (acquire.protocol, acquire.sport, acquire.dport) == (17, 6000, 5000)
        counted(pair.a, "held_frames", 3)
        assert pair.a.counter("acquires") == 1
        pair.a.plane.bind_policy(7, pair.a.handle)
        assert [sink.recv(10) for _ in range(3)] == [b"\0", b"\1", b"\2"]


def test_the_hold_queue_is_bounded(make_pair):
    pair = make_pair()
    pair.a.plane.add_policy(7, pair.selectors("a"), pair.selectors("b"))
    send_inner(pair, count=40)
    counted(pair.a, "drop_hold_full", 24)
    assert pair.a.counter("held_frames") == 16


def test_what_a_removed_policy_held_is_counted(make_pair):
    pair = make_pair()
    pair.a.plane.add_policy(7, pair.selectors("a"), pair.selectors("b"))
    send_inner(pair, count=3)
    counted(pair.a, "held_frames", 3)
    before = pair.a.counter("drop_no_policy")
    pair.a.plane.remove_policy(7)
    assert pair.a.counter("drop_no_policy") == before + 3


def test_a_rekey_switches_without_loss(joined):
    a, b = joined.a, joined.b
    new_spi = b.plane.allocate_spi()
    b.plane.install_inbound(
        new_spi,
        "aes256gcm16",
        KEYS["b"][:36],
        esn=False,
        replay_window=64,
        remote_ts=joined.selectors("a"),
        local_ts=joined.selectors("b"),
        remote_addr=OUTER["a"],
        remote_port=4500,
    )
    handle = a.plane.install_outbound(
        new_spi,
        "aes256gcm16",
        KEYS["b"][:36],
        esn=False,
        local_addr=OUTER["a"],
        local_port=4500,
        remote_addr=OUTER["b"],
        remote_port=4500,
    )
    with udp_socket(b, INNER["b"], 5000) as sink, udp_socket(a, INNER["a"]) as source:
        sink.settimeout(5)
        for number in range(100):
            if number == 50:
                a.plane.bind_policy(1, handle)
                a.plane.remove_outbound(a.handle)
            source.sendto(bytes([number]), (INNER["b"], 5000))
        assert [sink.recv(10)[0] for _ in range(100)] == list(range(100))
    assert b.hear(_native.SaNotice, kind="first_packet", spi=new_spi).remote_addr == OUTER["a"]
    assert b.plane.inbound_counters(new_spi)[0] >= 50


def test_a_peer_that_moves_is_noticed_and_followed(joined):
    a, b = joined.a, joined.b
    run("ip", "-n", a.namespace, "addr", "add", "10.201.0.77/24", "dev", "va")
    send_inner(joined)
    assert b.hear(_native.SaNotice, kind="first_packet").spi == b.spi
    a.plane.update_endpoint(a.handle, "10.201.0.77", 4500, OUTER["b"], 4500)
    send_inner(joined, count=3)
    moved = b.hear(_native.SaNotice, kind="peer_moved")
    assert (moved.spi, moved.remote_addr, moved.remote_port) == (b.spi, "10.201.0.77", 4500)
    b.plane.update_endpoint(b.handle, OUTER["b"], 4500, "10.201.0.77", 4500)
    assert " 0% packet loss" in a.run("ping", "-c", "3", "-i", "0.01", "-W", "2", INNER["b"])
    assert not [item for item in b.plane.drain() if isinstance(item, _native.SaNotice) and item.kind == "peer_moved"]


def datagrams(pair, count=0, dummies=0):
    """ESP of a's SA to b, sequence numbers from 1 on."""
    sa = _native.OutboundSa(pair.b.spi, "aes256gcm16", KEYS["a"][:36], tunnel=(OUTER["a"], OUTER["b"]))
    sealed = sa.dummies(dummies, 100) if dummies else sa.encap(_native.PacketBatch([inner_packet(100)] * count))
    return [bytes(packet) for packet in sealed.packets]


def test_a_packet_that_is_not_the_newest_moves_nobody(make_pair):
    """T18: somebody on the path may keep one back and send it from elsewhere."""
    pair = make_pair()
    pair.install()
    first, older, newer, newest = datagrams(pair, 4)
    with udp_socket(pair.a) as peer, udp_socket(pair.a) as attacker, udp_socket(pair.a) as moved:
        sent = ((peer, first), (peer, newer), (attacker, older), (moved, newest))
        for number, (source, datagram) in enumerate(sent, 1):
            source.sendto(datagram, (OUTER["b"], 4500))
            counted(pair.b, "opened_packets", number)
        ports = [source.getsockname()[1] for source in (peer, moved)]
    told = [notice for notice in pair.b.plane.drain() if getattr(notice, "kind", "") == "peer_moved"]
    assert [notice.remote_port for notice in told] == ports
    assert pair.b.plane.inbound_counters(pair.b.spi)[0] == 4


def test_a_dummy_is_a_sign_of_the_peer_and_is_carried_nowhere(make_pair):
    """RFC 4303 2.6: discarded, yet authentic."""
    pair = make_pair()
    pair.install()
    with udp_socket(pair.a) as peer:
        for datagram in datagrams(pair, dummies=2):
            peer.sendto(datagram, (OUTER["b"], 4500))
        for kind in ("first_packet", "peer_moved"):
            assert pair.b.hear(_native.SaNotice, kind=kind, spi=pair.b.spi).remote_port == peer.getsockname()[1]
    counted(pair.b, "drop_dummy", 2)
    assert pair.b.plane.inbound_window(pair.b.spi)[0] == 2
    assert pair.b.plane.inbound_counters(pair.b.spi) == (0, 0)
    assert pair.b.counter("opened_packets") == pair.b.counter("tun_writes") == 0


def test_priorities_decide_between_overlapping_policies(joined):
    everything = [(0, "0.0.0.0", "255.255.255.255", 0, 65535)]
    joined.a.plane.add_policy(2, everything, everything, priority=10)
    send_inner(joined)
    counted(joined.b, "opened_packets")
    joined.a.plane.add_policy(3, everything, everything, priority=-1)
    send_inner(joined)
    assert joined.a.hear(_native.Acquire).policy_id == 3


def test_the_mark_is_on_what_is_sent(make_pair):
    pair = make_pair(mark=42)
    namespace = pair.a.namespace
    run("ip", "-n", namespace, "rule", "add", "fwmark", "42", "unreachable")
    assert not pair.a.plane.send(OUTER["a"], 500, OUTER["b"], 500, IKE)


def test_the_generator_reaches_the_sink(make_pair):
    pair = make_pair()
    pair.join()
    with udp_socket(pair.b, INNER["b"], 5000) as sink, udp_socket(pair.a, INNER["a"]) as source:
        source.connect((INNER["b"], 5000))
        sent = _native.udp_send(source.fileno(), 64, 0.1, 1000)
        assert 10 <= sent <= 101
        received = itertools.accumulate(_native.udp_receive(sink.fileno(), 0.05) for _ in itertools.count())
        assert wait_for(lambda: sent <= (so_far := next(received)) and so_far) == sent
    with inside(pair.a.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        source.connect((OUTER["b"], 9))
        assert _native.udp_send(source.fileno(), 100, 0.0) == 0


def test_the_generator_sends_sizes_in_turn():
    with socket.socket(type=socket.SOCK_DGRAM) as sink, socket.socket(type=socket.SOCK_DGRAM) as source:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(5)
        source.connect(sink.getsockname())
        assert _native.udp_send_mix(source.fileno(), [10, 20, 30], 0.001) >= 6
        assert [len(sink.recv(100)) for _ in range(6)] == [10, 20, 30, 10, 20, 30]
        for wrong in ([], [1] * 65, [70_000]):
            with pytest.raises(OSError, match="Invalid|invalid"):
                _native.udp_send_mix(source.fileno(), wrong, 0.001)


def test_the_generator_spreads_datagrams_over_addresses():
    with socket.socket(type=socket.SOCK_DGRAM) as sink, socket.socket(type=socket.SOCK_DGRAM) as source:
        sink.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        sink.bind(("0.0.0.0", 0))
        sink.settimeout(5)
        spread = {"first": "127.0.1.255", "addresses": 3, "in_a_row": 2, "port": sink.getsockname()[1]}
        assert _native.udp_send_spread(source.fileno(), 10, 0.001, **spread) >= 7
        control = [sink.recvmsg(100, 100)[1][0][2] for _ in range(7)]
        seen = [socket.inet_ntoa(octets[8:12]) for octets in control]
        assert seen == ["127.0.1.255"] * 2 + ["127.0.2.0"] * 2 + ["127.0.2.1"] * 2 + ["127.0.1.255"]


def test_a_device_that_vanishes_stops_the_data_plane_with_a_notice(joined):
    run("ip", "-n", joined.a.namespace, "link", "del", "ipsec0")
    failed = joined.a.hear(_native.SaNotice)
    assert (failed.kind, failed.spi) == ("worker_failed", 0)
    assert "ipsec0 is gone" in str(joined.a.plane.failure())
    assert joined.b.plane.failure() is None


def test_a_removed_policy_protects_nothing_and_lets_nothing_out(joined):
    send_inner(joined)
    counted(joined.b, "opened_packets")
    joined.a.plane.remove_policy(1)
    before = joined.a.counter("drop_no_policy")
    send_inner(joined, count=3)
    counted(joined.a, "drop_no_policy", before + 3)
    assert joined.b.counter("opened_packets") == 1


def test_both_directions_progress_under_load_from_one(joined):
    with udp_socket(joined.b, INNER["b"], 5000), udp_socket(joined.a, INNER["a"]) as source:
        source.connect((INNER["b"], 5000))
        pump = threading.Thread(target=_native.udp_send, args=(source.fileno(), 64, 1.0))
        pump.start()
        assert joined.a.plane.send(OUTER["a"], 500, OUTER["b"], 500, IKE)
        assert joined.b.hear(_native.IkeDatagram).data == IKE
        assert joined.b.plane.send(OUTER["b"], 500, OUTER["a"], 500, IKE)
        assert joined.a.hear(_native.IkeDatagram).data == IKE
        pump.join()


def test_sizes_of_batches_and_drops_of_an_sa_are_counted(make_pair):
    pair = make_pair()
    pair.join(hard_packets=40)
    assert " 0% packet loss" in pair.a.run("ping", "-c", "8", "-i", "0.01", "-W", "2", INNER["b"])
    assert pair.a.plane.batches()["tun_read"] == [8, 0, 0, 0, 0, 0, 0, 0]
    assert pair.b.plane.batches()["tun_write"] == [8, 0, 0, 0, 0, 0, 0, 0]
    assert pair.a.plane.worker_batches() == [pair.a.plane.batches()]
    assert not any(pair.b.plane.inbound_drops(pair.b.spi).values())
    with inside(pair.a.namespace):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        for _ in range(50):
            sender.sendto(b"x", (INNER["b"], 9))
    wait_for(lambda: pair.a.counter("drop_sa_expired"))
    assert pair.a.plane.outbound_drops(pair.a.handle)["drop_sa_expired"] == pair.a.counter("drop_sa_expired")
    with pytest.raises(ValueError, match="no inbound SPI"):
        pair.a.plane.inbound_drops(1)


def test_sequence_number_and_window_of_an_sa_are_told(make_pair):
    pair = make_pair()
    pair.join(replay_window=1024)
    assert pair.a.plane.outbound_sequence(pair.a.handle) == 0
    assert pair.b.plane.inbound_window(pair.b.spi) == (0, 1024)
    send_inner(pair, count=7)
    counted(pair.b, "opened_packets", 7)
    assert pair.a.plane.outbound_sequence(pair.a.handle) == 7
    assert pair.b.plane.inbound_window(pair.b.spi) == (7, 1024)
    for ask, unknown in ((pair.a.plane.outbound_sequence, 99), (pair.b.plane.inbound_window, 1)):
        with pytest.raises(ValueError, match="no "):
            ask(unknown)


def test_offloads_are_told_as_they_are_and_not_as_they_were_asked_for(make_pair):
    """On a path of 1,000 octets, for which the kernel refuses to cut runs of larger packets."""
    pair = make_pair()
    pair.join()
    asked = {"tun_tcp", "tun_udp", "tun_lanes", "udp_segment", "udp_gro"}
    assert {name for name, wanted in pair.a.plane.offloads_asked().items() if wanted} == asked
    assert pair.a.plane.offloads()["udp_segment"]
    pair.a.run("ip", "link", "set", "va", "mtu", "1000")
    with udp_socket(pair.b, INNER["b"], 5000), udp_socket(pair.a, INNER["a"]) as source:
        source.connect((INNER["b"], 5000))
        wait_for(lambda: _native.udp_send(source.fileno(), 1200, 0.05) and pair.a.counter("segmentation_fallbacks"))
    assert pair.a.plane.segmentation_refused(pair.a.handle)
    assert not pair.a.plane.offloads()["udp_segment"]
    assert pair.a.plane.offloads_asked()["udp_segment"]


def test_a_link_layer_address_that_is_too_long_is_refused(make_pair):
    pair = make_pair()
    pair.join()
    with pytest.raises(ValueError, match="at most 8 octets, not 9"):
        pair.a.plane.set_next_hop(pair.a.handle, 1, 1500, bytes(9))


def worker_threads():
    return [name for name in Path("/proc/self/task").glob("*/comm") if name.read_text().startswith("ironswan-")]


def test_no_worker_is_left_when_close_returns_whatever_else_goes_on(make_pair):
    """Another call may hold the data plane a little longer."""
    pair = make_pair()
    pair.b.plane.close()
    assert worker_threads()
    going = threading.Event()

    def add_interfaces():
        with inside(pair.a.namespace), contextlib.suppress(RuntimeError):
            for index in itertools.count():
                going.set()
                pair.a.plane.remove_interface(pair.a.plane.add_interface(f"extra{index}", 1400))

    thread = threading.Thread(target=add_interfaces)
    thread.start()
    going.wait()
    pair.a.plane.close()
    left = worker_threads()
    thread.join()
    assert not left


def test_offloads_that_were_not_asked_for_are_not_in_use(make_pair):
    plane = make_pair(offloads="off").a.plane
    assert not any(plane.offloads_asked().values())
    assert not any(plane.offloads().values())
