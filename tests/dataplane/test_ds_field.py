"""The DS field through a tunnel (RFC 6040, RFC 4301 5.1.2): DSCP and ECN of packets outside, congestion inside."""

import select
import socket
import struct
from contextlib import ExitStack, contextmanager

import pytest
from two_gateways import INNER, INNER6, inside, wait_for

EF = 46 << 2
NOT_ECT, ECT_1, ECT_0, CE = range(4)
OUTERS = pytest.mark.parametrize("outer6", [False, True], ids=["outer4", "outer6"])
WAYS = pytest.mark.parametrize("way", ["udp", "frames", "raw"])
UDP_SEGMENT, PROTOCOL_ESP = 103, 50
IPV6_RECVTCLASS, IPV6_TCLASS = socket.IPV6_RECVTCLASS, socket.IPV6_TCLASS


def v6(address):
    return ":" in address


def opened_in(side, address, kind=socket.SOCK_DGRAM, protocol=0, port=0):
    """Open a socket in a side's namespace, bound to an address, that waits a few seconds at most."""
    with inside(side.namespace):
        made = socket.socket(socket.AF_INET6 if v6(address) else socket.AF_INET, kind, protocol)
    made.settimeout(5)
    made.bind((address, port))
    return made


def mark(made, ds):
    """Let all that a socket sends have this DS field."""
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_TCLASS, ds)
    else:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, ds)


def joined(make_pair, way="udp", *, outer6=False, copied=None, **options):
    pair = make_pair(outer6=outer6, mtu=1406, **options)
    pair.join(plain="" if way == "udp" else "ab", copied=copied or {})
    if way == "frames":
        pair.know_next_hops()
    if way != "udp":
        wait_for(lambda: pair.b.plane.offloads()["esp_rings"])
    return pair


class Wire:
    """What ESP packets that arrive at b's interface have outside."""

    def __init__(self, pair):
        protocol = 0x86DD if v6(pair.outer["b"]) else 0x0800
        with inside(pair.b.namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(protocol))
        self._socket.bind(("vb", protocol))
        self._socket.settimeout(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def fields(self):
        """Return those of all that have come."""
        found = []
        while readable(self._socket):
            found.append(self.field())
        return found

    def field(self):
        """Return the DS field of the next of them."""
        while True:
            packet = self._socket.recv(65536)
            if packet[0] >> 4 == 6:
                ds, protocol, ports = (packet[0] << 4 | packet[1] >> 4) & 0xFF, packet[6], packet[40:44]
            else:
                ds, protocol, ports = packet[1], packet[9], packet[20:24]
                assert sum(struct.unpack("!10H", packet[:20])) % 0xFFFF == 0
            if protocol == PROTOCOL_ESP or (protocol == socket.IPPROTO_UDP and ports[2:] == (4500).to_bytes(2, "big")):
                return ds


def outside(pair, fields, inner=INNER):
    """Send a datagram with each of these DS fields from a; return those outside, at b."""
    with Wire(pair) as wire, opened_in(pair.a, inner["a"]) as source:
        found = []
        for ds in fields:
            mark(source, ds)
            source.sendto(b"inner", (inner["b"], 9))
            found.append(wire.field())
    return found


@WAYS
@OUTERS
@pytest.mark.parametrize("inner", [INNER, INNER6], ids=["inner4", "inner6"])
def test_the_inner_dscp_and_ecn_are_outside(make_pair, way, outer6, inner):
    pair = joined(make_pair, way, outer6=outer6)
    fields = [EF | ECT_0, 0, EF | CE, ECT_1, 0]
    assert outside(pair, fields, inner) == fields
    assert pair.a.counter("drop_send_failed") == 0


@pytest.mark.parametrize(
    ("copied", "mask"),
    [
        ({"copy_dscp": "yes"}, 0xFF), ({"copy_dscp": "in"}, 0x03), ({"copy_dscp": "no"}, 0x03),
        ({"copy_ecn": False}, 0xFC), ({"copy_ecn": False, "copy_dscp": "no"}, 0),
    ],
)  # fmt: skip
def test_only_what_is_to_be_copied_is_outside(make_pair, copied, mask):
    pair = joined(make_pair, copied=copied)
    assert outside(pair, [EF | ECT_0, EF | CE]) == [(EF | ECT_0) & mask, (EF | CE) & mask]


def test_a_word_that_is_none_of_swanctls_is_refused(make_pair):
    with pytest.raises(ValueError, match="copy_dscp is"):
        joined(make_pair, copied={"copy_dscp": "both"})


@pytest.mark.parametrize("options", [{}, {"offloads": "off"}, {"workers": 2}])
def test_runs_have_the_field_of_their_packets(make_pair, options):
    """Each super-packet has one; a run ends where the next has another."""
    pair = joined(make_pair, **options)
    with Wire(pair) as wire, opened_in(pair.a, INNER["a"]) as source:
        source.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
        for ds in (EF | ECT_0, ECT_1):
            mark(source, ds)
            source.sendto(bytes(10_000), (INNER["b"], 9))
        wait_for(lambda: pair.b.counter("udp_datagrams") == 20)
        assert list(dict.fromkeys(wire.fields())) == [EF | ECT_0, ECT_1]
    if not options:
        assert pair.a.counter("udp_send_runs") < 20
    assert pair.a.counter("drop_send_failed") == 0


@contextmanager
def congested(pair, way, ds):
    """Between a and b somebody writes another DS field outside. Yields a function that lets so many datagrams through.

    With `segments` they go on as one run, which the kernel gives the other side as one.
    """
    a, b = pair.outer["a"], pair.outer["b"]
    with ExitStack() as stack:
        router = stack.enter_context(opened_in(pair.a, a, port=4501))
        if way == "udp":
            onward, target = router, (b, 4500)
        else:
            onward = stack.enter_context(opened_in(pair.a, a, socket.SOCK_RAW, PROTOCOL_ESP))
            target = (b, 0)
        mark(onward, ds)
        with inside(pair.a.namespace):
            pair.a.plane.update_endpoint(pair.a.handle, a, 4500, a, 4501)

        def forward(count, segments=False):
            datagrams = [router.recv(65536) for _ in range(count)]
            if segments:
                onward.setsockopt(socket.SOL_UDP, UDP_SEGMENT, len(datagrams[0]))
                datagrams = [b"".join(datagrams)]
            for datagram in datagrams:
                onward.sendto(datagram, target)

        yield forward


def listening(pair, inner=INNER):
    sink = opened_in(pair.b, inner["b"])
    if v6(inner["b"]):
        sink.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
    else:
        sink.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    return sink


def field_inside(sink):
    """Return the DS field of the next datagram that comes out of the tunnel."""
    _, messages, _, _ = sink.recvmsg(65536, 256)
    for level, kind, value in messages:
        if (level, kind) in ((socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IPV6, IPV6_TCLASS)):
            return value[0]
    return None


def through(make_pair, way, ds, fields, *, outer6=False, inner=INNER, copied=None):
    """Send datagrams with these DS fields where the network writes `ds` outside; return the pair and what came out."""
    pair = joined(make_pair, way, outer6=outer6, copied=copied)
    found = []
    with congested(pair, way, ds) as forward, listening(pair, inner) as sink, opened_in(pair.a, inner["a"]) as source:
        for field in fields:
            mark(source, field)
            source.sendto(b"inner", sink.getsockname()[:2])
            before = dropped(pair.b)
            forward(1)
            wait_for(lambda known=before: dropped(pair.b) > known or readable(sink))
            found.append(field_inside(sink) if readable(sink) else None)
    return pair, found


def dropped(side):
    return side.counter("drop_ecn_illegal")


def readable(sink):
    return bool(select.select([sink], [], [], 0)[0])


@WAYS
@OUTERS
@pytest.mark.parametrize("inner", [INNER, INNER6], ids=["inner4", "inner6"])
def test_congestion_on_the_way_reaches_who_understands_it_and_drops_the_rest(make_pair, way, outer6, inner):
    fields = [EF | ECT_0, EF | ECT_1, EF | CE, EF | NOT_ECT]
    pair, found = through(make_pair, way, CE, fields, outer6=outer6, inner=inner)
    assert found == [EF | CE, EF | CE, EF | CE, None]
    assert dropped(pair.b) == 1
    wait_for(lambda: pair.b.plane.inbound_drops(pair.b.spi)["drop_ecn_illegal"] == 1)


@OUTERS
def test_congestion_is_seen_by_the_raw_socket_too(make_pair, outer6):
    pair = make_pair(outer6=outer6, mtu=1406, offloads="off")
    pair.join(plain="ab")
    with congested(pair, "raw", CE) as forward, listening(pair) as sink, opened_in(pair.a, INNER["a"]) as source:
        mark(source, EF | ECT_0)
        source.sendto(b"inner", sink.getsockname()[:2])
        forward(1)
        assert field_inside(sink) == EF | CE
    wait_for(lambda: pair.b.counter("plain_raw_packets") == 1)


def test_the_other_ect_on_the_way_is_told_too_and_not_ect_changes_nothing(make_pair):
    _, found = through(make_pair, "udp", ECT_1, [ECT_0, ECT_1, NOT_ECT, CE])
    assert found == [ECT_1, ECT_1, NOT_ECT, CE]


def test_without_copy_ecn_congestion_on_the_way_is_not_told(make_pair):
    _, found = through(make_pair, "udp", CE, [EF | ECT_0, EF], copied={"copy_ecn": False})
    assert found == [EF | ECT_0, EF]


@pytest.mark.parametrize(("copy_dscp", "dscp"), [("in", 0x28), ("yes", 0x28), ("out", EF), ("no", EF)])
def test_the_outer_dscp_is_inside_where_it_is_to_be_copied(make_pair, copy_dscp, dscp):
    _, found = through(make_pair, "udp", 0x28 | ECT_0, [EF | ECT_0], copied={"copy_dscp": copy_dscp})
    assert found == [dscp | ECT_0]


def test_congestion_of_a_run_reaches_all_of_it_before_it_is_merged(make_pair):
    pair = joined(make_pair)
    with congested(pair, "udp", CE) as forward, listening(pair) as sink, opened_in(pair.a, INNER["a"]) as source:
        source.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
        mark(source, EF | ECT_0)
        source.sendto(bytes(10_000), sink.getsockname())
        forward(10, segments=True)
        assert [field_inside(sink) for _ in range(10)] == [EF | CE] * 10
    wait_for(lambda: pair.b.counter("coalesced_packets") == 9)
