"""Traffic between two namespaces: pings, bulk TCP, packet floods, and sequenced streams that count what was lost.

Every run forks its two ends, so that neither shares an interpreter with the other. Sizes are octets, rates packets a
second, times seconds. Most payloads repeat MARK, so that a look at the wire would find it if it were readable.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ironswan.lab.namespaces import Namespace
from ironswan.lab.processes import LabError, Task

MARK = b"IronSwan-in-clear/"
BLOCK = 1 << 18
SMALL_BLOCK = 1 << 14
_SOL_FORCE = 33  # SO_RCVBUFFORCE
_TIMESTAMP = 35  # SO_TIMESTAMPNS, and the type of its control message
_TIMESPEC = struct.Struct("@qq")
_END = (1 << 64) - 1
_UDP_BUFFER = 8 << 20


@dataclass(frozen=True, slots=True)
class Host:
    """One end of the traffic: a namespace and the address used there."""

    namespace: Namespace
    address: str


@dataclass(frozen=True, slots=True)
class Pings:
    """How many echo requests went out, how many replies came back, and the round trips in seconds."""

    sent: int
    received: int
    round_trips: tuple[float, ...]

    @property
    def median_us(self) -> float | None:
        """The median round trip in microseconds."""
        ordered = sorted(self.round_trips)
        return round(ordered[len(ordered) // 2] * 1e6, 1) if ordered else None


def _checksum(data: bytes) -> int:
    words: tuple[int, ...] = struct.unpack(f"!{len(data) // 2}H", data)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _echo_request(identifier: int, sequence: int, size: int) -> bytes:
    payload = (MARK * (size // len(MARK) + 1))[: size & ~1]
    bare = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence) + payload
    return bare[:2] + struct.pack("!H", _checksum(bare)) + bare[4:]


def _await_reply(probe: socket.socket, identifier: int, sequence: int, patience: float) -> int | None:
    """When the kernel had the reply, in nanoseconds since the epoch: that we wake later is not the tunnel's doing."""
    wanted = struct.pack("!HH", identifier, sequence)
    deadline = time.perf_counter() + patience
    while (left := deadline - time.perf_counter()) > 0:
        probe.settimeout(left)
        try:
            packet, notes, _, _ = probe.recvmsg(65536, socket.CMSG_SPACE(_TIMESPEC.size))
        except TimeoutError:
            return None
        body = packet[(packet[0] & 15) * 4 :]
        if body[:1] == b"\0" and body[4:8] == wanted:
            return next((_nanoseconds(data) for _, kind, data in notes if kind == _TIMESTAMP), time.time_ns())
    return None


def _nanoseconds(timespec: bytes) -> int:
    seconds, nanoseconds = _TIMESPEC.unpack_from(timespec)
    return int(seconds * 1_000_000_000 + nanoseconds)


def ping(source: Host, destination: str, count: int = 10, *, size: int = 56, patience: float = 1.0) -> Pings:
    """Send echo requests one after the other and wait up to `patience` seconds for each reply."""
    identifier = os.getpid() & 0xFFFF
    trips: list[float] = []
    with source.namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as probe:
        probe.bind((source.address, 0))
        probe.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        for sequence in range(count):
            request = _echo_request(identifier, sequence, size)
            # Nothing between the clock and the kernel: on a busy machine it is where we lose the processor.
            begin = time.time_ns()
            try:
                probe.sendto(request, (destination, 0))
            except OSError:  # no route, or refused on the way: a ping without an answer
                continue
            if (end := _await_reply(probe, identifier, sequence, patience)) is not None:
                trips.append((end - begin) / 1e9)
    return Pings(count, len(trips), tuple(trips))


def _listener(host: Host) -> socket.socket:
    listener = host.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((host.address, 0))
    listener.listen(1)
    listener.settimeout(10)
    return listener


def _caller(host: Host) -> socket.socket:
    caller = host.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    caller.bind((host.address, 0))
    caller.settimeout(10)
    return caller


def _count_stream(listener: socket.socket) -> dict[str, float]:
    stream, _ = listener.accept()
    stream.settimeout(10)
    buffer = bytearray(BLOCK)
    octets, begin = 0, time.perf_counter()
    while got := stream.recv_into(buffer):
        octets += got
    return {"octets": octets, "seconds": time.perf_counter() - begin}


def _pour(caller: socket.socket, address: tuple[str, int], seconds: float) -> int:
    caller.connect(address)
    block = (MARK * (BLOCK // len(MARK) + 1))[:BLOCK]
    octets, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        octets += caller.send(block)
    caller.shutdown(socket.SHUT_WR)
    return octets


@dataclass(frozen=True, slots=True)
class Received:
    """What arrived of one TCP stream, and in how many seconds."""

    octets: int
    seconds: float

    @property
    def gbps(self) -> float:
        """The rate in Gbit/s."""
        return self.octets * 8 / self.seconds / 1e9


class TcpStreams:
    """One TCP stream at full speed from each source to its destination, all at once, for a number of seconds."""

    def __init__(self, ends: Sequence[tuple[Host, Host]], seconds: float) -> None:
        """Begin."""
        self._seconds = seconds
        self._stack = contextlib.ExitStack()
        self._sinks: list[Task] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for source, destination in ends:
                self._begin(source, destination)
            undo.pop_all()

    def _begin(self, source: Host, destination: Host) -> None:
        with _listener(destination) as listener, _caller(source) as caller:
            address = listener.getsockname()
            sink = Task(lambda: _count_stream(listener))
            self._stack.callback(sink.close)
            pump = Task(lambda: _pour(caller, address, self._seconds))
            self._stack.callback(pump.close)
        self._sinks.append(sink)

    @property
    def running(self) -> bool:
        """Whether one of them still goes."""
        return not all(sink.done for sink in self._sinks)

    def received(self) -> list[Received]:
        """Wait for the end; what arrived of each. Raises LabError when one did not end."""
        try:
            return [Received(**sink.result(self._seconds + 20)) for sink in self._sinks]
        finally:
            self.close()

    def close(self) -> None:
        """End them all."""
        self._stack.close()


def tcp_rate(source: Host, destination: Host, seconds: float) -> float:
    """One TCP stream at full speed; returns what arrived, in Gbit/s."""
    return TcpStreams([(source, destination)], seconds).received()[0].gbps


def _digest_stream(listener: socket.socket) -> dict[str, Any]:
    stream, _ = listener.accept()
    stream.settimeout(20)
    digest, octets = hashlib.sha256(), 0
    buffer = bytearray(BLOCK)
    while got := stream.recv_into(buffer):
        digest.update(memoryview(buffer)[:got])
        octets += got
    return {"octets": octets, "sha256": digest.hexdigest()}


def _pour_random(caller: socket.socket, address: tuple[str, int], octets: int, rate: float) -> dict[str, Any]:
    caller.settimeout(20)
    caller.connect(address)
    # A paced transfer must not come in bursts that overflow somebody's socket buffer.
    size = SMALL_BLOCK if rate else BLOCK
    digest, sent, seed = hashlib.sha256(), 0, os.urandom(size)
    begin = time.perf_counter()
    while sent < octets:
        # Every block differs, so that a block lost, doubled or moved changes the digest.
        block = (struct.pack("!Q", sent) + MARK + seed)[: min(size, octets - sent)]
        if rate and (early := sent / rate - (time.perf_counter() - begin)) > 0:
            time.sleep(early)
        caller.sendall(block)
        digest.update(block)
        sent += len(block)
    caller.shutdown(socket.SHUT_WR)
    return {"octets": sent, "sha256": digest.hexdigest()}


class Transfer:
    """A TCP transfer of `octets`, digested at both ends; `rate` octets a second, 0 as fast as it goes."""

    def __init__(self, source: Host, destination: Host, octets: int, *, rate: float = 0) -> None:
        """Begin."""
        with _listener(destination) as listener, _caller(source) as caller:
            address = listener.getsockname()
            self._sink = Task(lambda: _digest_stream(listener))
            self._pump = Task(lambda: _pour_random(caller, address, octets, rate))

    def intact(self, seconds: float) -> bool:
        """Wait for the end; whether both ends saw the same octets. Raises LabError when it did not end."""
        try:
            sent = self._pump.result(seconds)
            return bool(sent == self._sink.result(seconds))
        finally:
            self.close()

    def close(self) -> None:
        """End the transfer."""
        self._pump.close()
        self._sink.close()


def _udp_pair(source: Host, destination: Host) -> tuple[socket.socket, socket.socket]:
    receiver = destination.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender = source.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SOL_FORCE, _UDP_BUFFER)
    except PermissionError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER)
    receiver.bind((destination.address, 0))
    sender.bind((source.address, 0))
    sender.connect(receiver.getsockname())
    return sender, receiver


def _send_sequence(sender: socket.socket, stop: int, rate: float, size: int) -> int:
    body = (MARK * (size // len(MARK) + 1))[: size - 8]
    sent, begin = 0, time.perf_counter()
    while not select.select([stop], [], [], 0)[0]:
        due = int((time.perf_counter() - begin) * rate)
        while sent < due:
            with contextlib.suppress(OSError):  # what cannot be sent is lost
                sender.send(struct.pack("!Q", sent) + body)
            sent += 1
        time.sleep(0.0005)
    for _ in range(5):
        sender.send(struct.pack("!Q", _END) + body)
        time.sleep(0.02)
    return sent


def _receive_sequence(receiver: socket.socket) -> int:
    seen: set[int] = set()
    receiver.settimeout(10)
    with contextlib.suppress(TimeoutError):
        while True:
            number = int.from_bytes(receiver.recv(65536)[:8])
            if number == _END:
                receiver.settimeout(0.3)
            else:
                seen.add(number)
    return len(seen)


class SequencedStream:
    """Numbered UDP packets at a steady rate until finished; counts how many of them never arrived."""

    def __init__(self, source: Host, destination: Host, *, rate: float = 2000, size: int = 256) -> None:
        """Begin."""
        sender, receiver = _udp_pair(source, destination)
        stop, self._stop = os.pipe()
        with sender, receiver:
            self._sink = Task(lambda: _receive_sequence(receiver))
            self._pump = Task(lambda: _send_sequence(sender, stop, rate, size))
        os.close(stop)
        self.sent = 0

    def finish(self) -> int:
        """Stop sending and return the number of packets lost."""
        try:
            os.write(self._stop, b".")
            self.sent = self._pump.result(10)
            if not self.sent:
                raise LabError("a sequenced stream sent nothing")
            return self.sent - int(self._sink.result(15))
        finally:
            self.close()

    def close(self) -> None:
        """End the stream."""
        self._pump.close()
        self._sink.close()
        if self._stop >= 0:
            os.close(self._stop)
            self._stop = -1


def udp_rate(source: Host, destination: Host, seconds: float, sizes: Sequence[int] = (64,)) -> float:
    """Send packets with `sizes` octets of UDP payload, in turn, as fast as it goes; packets a second that arrived."""
    from ironswan import _native  # only this measurement needs the native module

    sender, receiver = _udp_pair(source, destination)
    with sender, receiver:
        sink = Task(lambda: _native.udp_receive(receiver.fileno(), seconds + 0.5))
        pump = Task(lambda: _native.udp_send_mix(sender.fileno(), list(sizes), seconds))
        try:
            pump.result(seconds + 20)
            return float(sink.result(20)) / seconds
        finally:
            pump.close()
            sink.close()
