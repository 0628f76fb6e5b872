"""A link that takes next to nothing: what it costs is packets and not time, for others wait for the same SA."""

from test_security import udp_socket
from two_gateways import INNER, wait_for

from ironswan import _native


def test_packets_sent_one_by_one_wait_for_a_full_buffer_together_and_not_each(make_pair):
    pair = make_pair()
    pair.join()
    # A path for which the kernel refuses to cut runs.
    pair.a.run("ip", "link", "set", "va", "mtu", "1000")
    pair.a.run("tc", "qdisc", "add", "dev", "va", "root", "tbf", "rate", "8kbit", "burst", "4kb", "limit", "64mb")
    with udp_socket(pair.a, INNER["a"]) as source:
        source.connect((INNER["b"], 9))

        def blocked():
            _native.udp_send(source.fileno(), 1200, 0.05)
            return pair.a.counter("drop_send_blocked")

        first = wait_for(blocked, 10)
        assert pair.a.counter("segmentation_fallbacks") > 0
        # Each for itself would be held up for 20 ms.
        wait_for(lambda: blocked() > first + 1000, 5)
