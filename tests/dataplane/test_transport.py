"""Transport mode between two data planes: packets of the hosts themselves, without a second IP header."""

import functools
import hashlib
import socket

import pytest
from test_ds_field import CE, ECT_0, EF, field_inside, listening, mark, opened_in
from test_traffic import tcp_transfer
from two_gateways import INNER, OUTER, OUTER6, Pair, inside, run, wait_for, whole


class Hosts(Pair):
    """Two hosts that protect what they send each other; a policy of its own for each family.

    The data plane's own packets carry a mark, as a gateway's do, and take the wire; all others take the TUN.
    """

    def __init__(self, tag: str, **options: object) -> None:
        super().__init__(tag, mark=220, **options)

    def prepare(self) -> None:
        for x, y in ("ab", "ba"):
            ns = ("ip", "-n", self.names[x])
            for family, outer in (("-4", OUTER), ("-6", OUTER6)):
                run(*ns, family, "rule", "add", "not", "fwmark", "220", "lookup", "220", "priority", "220")
                run(*ns, family, "route", "add", outer[y], "dev", "ipsec0", "src", outer[x], "table", "220")
            self.sides[x].run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", f"net.ipv4.conf.v{x}.rp_filter=0")

    def shield(self, protocol: int = 0, ports: tuple[int, int] = (0, 65535), suite: str = "aes128gcm16") -> None:
        """One pair of SAs in transport mode for each family; `ports` at b."""
        for policy, outer in ((4, OUTER), (6, OUTER6)):
            sides = {"a": [whole(outer["a"], protocol)], "b": [whole(outer["b"], protocol, ports)]}
            spis = {x: self.sides[x].plane.allocate_spi() for x in "ab"}
            key = bytes(range(100))
            length = {"aes128gcm16": 20, "aes128gcm16iiv": 20, "aes128-sha256": 48}[suite]
            for x, y in ("ab", "ba"):
                plane = self.sides[x].plane
                common = {"esn": False, "remote_addr": outer[y], "remote_port": 4500, "mode": "transport"}
                plane.install_inbound(
                    spis[x], suite, key[:length], replay_window=1024, remote_ts=sides[y], local_ts=sides[x], **common
                )
                handle = plane.install_outbound(
                    spis[y], suite, key[:length], local_addr=outer[x], local_port=4500, key_owner=spis[x], **common
                )
                plane.add_policy(policy, sides[x], sides[y])
                plane.bind_policy(policy, handle)


@pytest.fixture
def hosts(make_pair):
    """Builds two hosts."""
    return functools.partial(make_pair, Hosts)


@pytest.mark.parametrize("target", [OUTER["b"], OUTER6["b"]])
@pytest.mark.parametrize("offloads", ["auto", "off"])
def test_ping_passes_between_the_hosts(hosts, target, offloads):
    pair = hosts(offloads=offloads)
    pair.shield()
    assert " 0% packet loss" in pair.a.run("ping", "-c", "5", "-i", "0.01", "-W", "2", target)
    assert pair.b.counter("opened_packets") == 5
    assert pair.a.counter("sealed_packets") == 5


@pytest.mark.parametrize("suite", ["aes128gcm16", "aes128gcm16iiv", "aes128-sha256"])
@pytest.mark.parametrize("family", [OUTER, OUTER6], ids=["v4", "v6"])
def test_tcp_arrives_unchanged_and_in_super_packets(hosts, suite, family):
    pair = hosts()
    pair.shield(suite=suite)
    octets = bytes(range(256)) * 40_000
    assert tcp_transfer(pair, family["a"], family["b"], octets) == hashlib.sha256(octets).hexdigest()
    assert pair.b.counter("coalesced_packets") > 0
    assert pair.a.counter("udp_send_runs") < pair.a.counter("sealed_packets")
    for side in (pair.a, pair.b):
        drops = {name: value for name, value in side.plane.counters().items() if name.startswith("drop_") and value}
        assert not drops


@pytest.mark.parametrize("family", [OUTER, OUTER6], ids=["v4", "v6"])
def test_the_ds_field_of_a_packet_is_that_of_its_header(hosts, family):
    """There is but one header, so that nothing is copied and nothing lost."""
    pair = hosts()
    pair.shield(17)
    with opened_in(pair.a, family["a"]) as source, listening(pair, family) as sink:
        for ds in (EF | ECT_0, 0, EF | CE):
            mark(source, ds)
            source.sendto(b"inner", sink.getsockname()[:2])
            assert field_inside(sink) == ds


@pytest.mark.parametrize("family", [OUTER, OUTER6], ids=["v4", "v6"])
def test_udp_datagrams_of_many_sizes_arrive_whole(hosts, family):
    pair = hosts()
    pair.shield(17)
    kind = socket.AF_INET6 if ":" in family["a"] else socket.AF_INET
    with inside(pair.b.namespace):
        sink = socket.socket(kind, socket.SOCK_DGRAM)
    with inside(pair.a.namespace):
        source = socket.socket(kind, socket.SOCK_DGRAM)
    with sink, source:
        sink.bind((family["b"], 0))
        sink.settimeout(5)
        sent = [bytes([number % 256]) * (1 + number % 20 * 60) for number in range(100)]
        for data in sent:
            source.sendto(data, sink.getsockname()[:2])
        assert [sink.recv(65536) for _ in sent] == sent


def test_a_policy_for_one_port_takes_that_port_and_counts_the_rest(hosts):
    pair = hosts()
    pair.shield(17, (1701, 1701))
    with inside(pair.b.namespace):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(pair.a.namespace):
        source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sink, source:
        sink.bind((OUTER["b"], 1701))
        sink.settimeout(5)
        source.sendto(b"l2tp", (OUTER["b"], 1701))
        assert sink.recv(100) == b"l2tp"
        source.sendto(b"dns", (OUTER["b"], 53))
        wait_for(lambda: pair.a.counter("drop_no_policy") == 1)


@pytest.mark.parametrize("target", [OUTER["b"], OUTER6["b"]])
def test_datagrams_larger_than_the_mtu_are_sealed_whole(hosts, target):
    """RFC 4303 3.1.1: transport mode takes whole datagrams, so what the kernel cut is put together again."""
    pair = hosts()
    pair.shield()
    assert " 0% packet loss" in pair.a.run("ping", "-c", "5", "-i", "0.01", "-W", "2", "-s", "20000", target)
    assert pair.a.counter("sealed_packets") == 5
    assert pair.a.counter("drop_not_transportable") == 0


def test_ports_of_a_datagram_larger_than_the_mtu_are_known(hosts):
    pair = hosts()
    pair.shield(17, (1701, 1701))
    with inside(pair.b.namespace):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(pair.a.namespace):
        source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sink, source:
        sink.bind((OUTER["b"], 1701))
        sink.settimeout(5)
        source.sendto(bytes(5000), (OUTER["b"], 1701))
        assert sink.recv(10_000) == bytes(5000)


def test_options_of_ipv4_are_dropped_and_counted(hosts):
    """What cannot travel without its header is not sent without it."""
    pair = hosts()
    pair.shield()
    pair.a.run("sh", "-c", f"ping -R -c 2 -i 0.01 -W 1 {OUTER['b']} || true")
    assert pair.a.counter("drop_not_transportable") == 2
    assert pair.a.counter("sealed_packets") == 0


def test_what_cannot_be_transport_mode_is_refused(hosts):
    pair = hosts()
    plane = pair.a.plane
    spi = plane.allocate_spi()
    common = {"esn": False, "replay_window": 64, "remote_addr": OUTER["b"], "remote_port": 4500}
    network = [(0, "10.0.0.0", "10.0.0.255", 0, 65535)]
    with pytest.raises(ValueError, match="one address on each side"):
        plane.install_inbound(
            spi, "aes128gcm16", bytes(20), remote_ts=network, local_ts=[whole(OUTER["a"])], mode="transport", **common
        )
    with pytest.raises(ValueError, match="tunnel"):
        plane.install_inbound(spi, "aes128gcm16", bytes(20), remote_ts=network, local_ts=network, mode="beet", **common)
    with pytest.raises(ValueError, match="no IP address"):
        plane.install_inbound(
            spi, "aes128gcm16", bytes(20), remote_ts=[whole(OUTER["b"])], local_ts=[whole(OUTER["a"])],
            mode="transport", nat_original=("here", "there"), **common,
        )  # fmt: skip


def test_tcp_passes_where_a_nat_changes_the_address(hosts):
    """I100, RFC 3948 3.1.2: checksums made with the address before the NAT are right behind it."""
    pair = hosts()
    real, seen = INNER["a"], OUTER["a"]
    spis = {x: pair.sides[x].plane.allocate_spi() for x in "ab"}
    views = {
        "a": ([whole(real)], [whole(OUTER["b"])], (OUTER["b"], seen)),
        "b": ([whole(OUTER["b"])], [whole(seen)], (real, OUTER["b"])),
    }
    for x, y in ("ab", "ba"):
        plane, (local_ts, remote_ts, original) = pair.sides[x].plane, views[x]
        common = {"esn": False, "remote_addr": OUTER[y], "remote_port": 4500, "mode": "transport"}
        plane.install_inbound(
            spis[x], "aes128gcm16", bytes(20), replay_window=1024, remote_ts=remote_ts, local_ts=local_ts,
            nat_original=original, **common,
        )  # fmt: skip
        handle = plane.install_outbound(
            spis[y], "aes128gcm16", bytes(20), local_addr=OUTER[x], local_port=4500, key_owner=spis[x], **common
        )
        plane.add_policy(4, local_ts, remote_ts)
        plane.bind_policy(4, handle)
    octets = bytes(range(256)) * 20_000
    assert tcp_transfer(pair, real, OUTER["b"], octets) == hashlib.sha256(octets).hexdigest()
    assert pair.b.counter("coalesced_packets") > 0
