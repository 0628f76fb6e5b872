"""Several interfaces in one data plane: each with policies of its own, also for the same inner networks."""

from __future__ import annotations

import socket

import pytest
from two_gateways import ANY, KEYS, OUTER, inside, run, wait_for

from ironswan import _native

LEFT, RIGHT = "10.209.0.1", "10.209.0.2"
EVERYTHING = [(0, "0.0.0.0", "255.255.255.255", *ANY)]
NAMES = ("red", "blue")


def make(pair, side, name):
    """An interface, in the namespace of its gateway."""
    with inside(pair.names[side]):
        return pair.sides[side].plane.add_interface(name, 1400)


def add(pair, name, number):
    """An interface on both sides with an SA each way for everything; the same addresses as on any other."""
    ids = {x: make(pair, x, name) for x in "ab"}
    spis = {x: pair.sides[x].plane.allocate_spi() for x in "ab"}
    for x, y in ("ab", "ba"):
        plane, far = pair.sides[x].plane, {"remote_addr": OUTER[y], "remote_port": 4500}
        keys = {side: bytes([number]) + KEYS[side][1:36] for side in "ab"}
        plane.install_inbound(
            spis[x], "aes256gcm16", keys[y], esn=False, replay_window=64, remote_ts=EVERYTHING, local_ts=EVERYTHING,
            interface=ids[x], **far,
        )  # fmt: skip
        handle = plane.install_outbound(
            spis[y], "aes256gcm16", keys[x], esn=False, local_addr=OUTER[x], local_port=4500, key_owner=spis[x], **far
        )
        plane.add_policy(100 + number, EVERYTHING, EVERYTHING, interface=ids[x])
        plane.bind_policy(100 + number, handle)
        run("ip", "-n", pair.names[x], "addr", "add", f"{LEFT if x == 'a' else RIGHT}/30", "dev", name)
    return ids, spis


def bound(pair, side, address, name):
    """A UDP socket on one side that sends and receives on one interface alone."""
    with inside(pair.names[side]):
        bound_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound_socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
    bound_socket.bind((address, 5000))
    bound_socket.settimeout(5)
    return bound_socket


@pytest.fixture
def both(make_pair):
    pair = make_pair()
    pair.join()
    return pair, {name: add(pair, name, number) for number, name in enumerate(NAMES)}


def test_the_same_addresses_on_two_interfaces_do_not_meet(both):
    pair, _ = both
    senders = {name: bound(pair, "a", LEFT, name) for name in NAMES}
    receivers = {name: bound(pair, "b", RIGHT, name) for name in NAMES}
    for turn in range(50):
        for name in NAMES:
            senders[name].sendto(f"{name} {turn}".encode(), (RIGHT, 5000))
    for name in NAMES:
        assert [receivers[name].recv(100).decode() for _ in range(50)] == [f"{name} {turn}" for turn in range(50)]
        receivers[name].sendto(b"back", (LEFT, 5000))
        assert senders[name].recv(100) == b"back"
    for each in (*senders.values(), *receivers.values()):
        each.close()


def test_an_interface_comes_and_goes_while_others_carry(both):
    pair, made = both
    ids, spis = made["blue"]
    sender, receiver = bound(pair, "a", LEFT, "red"), bound(pair, "b", RIGHT, "red")
    for x in "ab":
        plane = pair.sides[x].plane
        plane.remove_policy(101)
        plane.remove_inbound(spis[x])
        plane.remove_interface(ids[x])
        links = lambda x=x: run("ip", "-n", pair.names[x], "link")  # noqa: E731
        wait_for(lambda links=links: "blue" not in links())
        with pytest.raises(ValueError, match="no interface"):
            plane.add_policy(102, EVERYTHING, EVERYTHING, interface=ids[x])
    sender.sendto(b"still", (RIGHT, 5000))
    assert receiver.recv(100) == b"still"
    again, _ = add(pair, "blue", 5)
    assert again["a"] != ids["a"]
    with bound(pair, "a", LEFT, "blue") as blue, bound(pair, "b", RIGHT, "blue") as there:
        blue.sendto(b"anew", (RIGHT, 5000))
        assert there.recv(100) == b"anew"
    sender.close()
    receiver.close()


def test_an_interface_that_somebody_deletes_is_told_and_leaves_the_others_alone(make_pair):
    """With two workers: each finds out by itself, and the control plane hears of it once."""
    pair = make_pair(workers=2)
    pair.join()
    made = {name: add(pair, name, number) for number, name in enumerate(NAMES)}
    sender, receiver = bound(pair, "a", LEFT, "red"), bound(pair, "b", RIGHT, "red")
    run("ip", "-n", pair.names["a"], "link", "del", "blue")
    assert pair.a.hear(_native.InterfaceGone).name == "blue"
    # Workers follow what interfaces there are whenever these change.
    make(pair, "a", "green")
    for turn in range(20):
        sender.sendto(f"red {turn}".encode(), (RIGHT, 5000))
        assert receiver.recv(100).decode() == f"red {turn}"
    assert not [notice for notice in pair.a.plane.drain() if isinstance(notice, _native.InterfaceGone)]
    assert pair.a.plane.failure() is None
    pair.a.plane.remove_interface(made["blue"][0]["a"])
    make(pair, "a", "blue")
    sender.close()
    receiver.close()


def test_what_no_policy_of_its_interface_covers_goes_nowhere(make_pair):
    pair = make_pair()
    pair.join()
    make(pair, "a", "red")
    run("ip", "-n", pair.names["a"], "addr", "add", f"{LEFT}/30", "dev", "red")
    with inside(pair.names["a"]):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.sendto(b"lost", (RIGHT, 5000))
    wait_for(lambda: pair.a.counter("drop_no_policy") == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_name_in_use_is_refused(make_pair, workers):
    pair = make_pair(workers=workers)
    with pytest.raises(OSError, match="busy"):
        make(pair, "a", "ipsec0")
    with pytest.raises(OSError, match="no interface name"):
        make(pair, "a", "a/b")
