"""The work that is timed: sealing and opening batches through `ironswan.esp`, and the same by another library.

Tunnel mode, the ESP packet without outer header. Decap sees no packet twice: every turn opens packets that were sealed
for it, outside the timed part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ironswan.bench.alternatives import SPI, Alternative, CryptographyLoop, ScapyLoop
from ironswan.bench.timing import MeasurementError, Work

if TYPE_CHECKING:
    from ironswan import esp

ALTERNATIVES: dict[str, Callable[[esp.SuiteInfo, bytes], Alternative]] = {
    "cryptography": CryptographyLoop,
    "scapy": ScapyLoop,
}
Batches = Sequence[Sequence[bytes]]
# What a turn works on stays in a second-level cache, as packets do that have just arrived.
_TURN_OCTETS = 256 << 10
_TURN_CALLS = 256


def encap_work(suite: str, batches: Batches) -> Work:
    """Sealing the same batches of one length again and again under one SA; sequence numbers go on."""
    from ironswan import esp

    sa = esp.OutboundSa(SPI, suite, keymat(suite))
    inputs = [esp.PacketBatch(packets) for packets in batches] * _rounds(batches)
    return Work(lambda: inputs, sa.encap, _all_ok, len(batches[0]))


def decap_work(suite: str, batches: Batches) -> Work:
    """Opening batches that were sealed a moment ago, none of them twice; what comes out is compared."""
    from ironswan import esp

    sealer, sa = esp.OutboundSa(SPI, suite, keymat(suite)), esp.InboundSa(SPI, suite, keymat(suite))
    plain = [esp.PacketBatch(packets) for packets in batches] * _rounds(batches)

    def prepare() -> list[esp.PacketBatch]:
        return [sealer.encap(batch).packets for batch in plain]

    def check(results: esp.Results) -> None:
        _all_ok(results)
        if results.packets != plain[-1]:
            raise MeasurementError(f"{suite}: other packets came out than went in")

    return Work(prepare, sa.decap, check, len(batches[0]))


def alternative_works(library: str, suite: str, packets: Sequence[bytes]) -> tuple[Work, Work]:
    """Encap and decap by another library, after a proof that it and ironswan understand each other.

    Raises NoSuchSuite if the library lacks it, MeasurementError if the packets differ.
    """
    from ironswan import esp

    make, info = ALTERNATIVES[library], suites()[suite]
    sealer = esp.OutboundSa(SPI, suite, keymat(suite))
    batch = esp.PacketBatch(packets)
    _agree(make(info, keymat(suite)), packets, suite, library)

    def prepare() -> list[list[bytes]]:
        return [sealer.encap(batch).packets.tolist()]

    def check(opened: list[bytes]) -> None:
        if opened != list(packets):
            raise MeasurementError(f"{library}, {suite}: other packets came out than went in")

    other = make(info, keymat(suite))
    return (
        Work(lambda: [packets], other.encap, lambda _: None, len(packets)),
        Work(prepare, other.decap, check, len(packets)),
    )


def _agree(other: Alternative, packets: Sequence[bytes], suite: str, library: str) -> None:
    """What the other seals, ironswan opens."""
    from ironswan import esp

    results = esp.InboundSa(SPI, suite, keymat(suite)).decap(esp.PacketBatch(other.encap(packets)))
    if results.packets.tolist() != list(packets):
        raise MeasurementError(f"{suite}: what {library} sealed did not open")


def keymat(suite: str) -> bytes:
    """Keys for measuring, the same in every run."""
    return bytes((i * 37 + 11) & 0xFF for i in range(suites()[suite].keymat_len))


def suites() -> dict[str, esp.SuiteInfo]:
    """The suites of ESP that can be constructed, by keyword."""
    from ironswan import esp

    return {info.keyword: info for info in esp.suites() if info.protocol == "esp"}


def _all_ok(results: esp.Results) -> None:
    if not results.ok:
        words = sorted({status.name for status in results.statuses if status})
        raise MeasurementError(f"packets were dropped: {', '.join(words)}")


def _rounds(batches: Batches) -> int:
    """How often a turn goes through the batches."""
    octets = sum(len(packet) for packets in batches for packet in packets)
    return max(1, min(_TURN_CALLS // len(batches), _TURN_OCTETS // octets))
