"""SAs and forks: a copy would send under nonces that were used, and take packets twice."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from esp_packets import OUTER, SPI, inbound, ipv4, outbound, seal

from ironswan.esp import AhInboundSa, AhOutboundSa, PacketBatch

BATCH = PacketBatch([ipv4()] * 3)
AH_KEY = bytes(32)


def ah_outbound() -> AhOutboundSa:
    return AhOutboundSa(SPI, "sha256", AH_KEY, tunnel=OUTER)


def in_a_fork(work: Callable[[], Any]) -> str:
    """The RuntimeError it raises in a child, or an empty text."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Other tests may have left threads behind.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        said = b"something else was raised"
        try:
            work()
            said = b""
        except RuntimeError as error:
            said = f"RuntimeError: {error}".encode()
        finally:
            os.write(writer, said)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text


CALLS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "encap": (outbound, lambda sa: sa.encap(BATCH)),
    "dummies": (outbound, lambda sa: sa.dummies(1, 40)),
    "decap": (inbound, lambda sa: sa.decap(BATCH)),
    "ah encap": (ah_outbound, lambda sa: sa.encap(BATCH)),
    "ah decap": (lambda: AhInboundSa(SPI, "sha256", AH_KEY), lambda sa: sa.decap(BATCH)),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_sa_does_nothing_in_a_fork_and_goes_on_in_its_process(name: str) -> None:
    """E02, E19."""
    make, call = CALLS[name]
    sa = make()
    call(sa)
    said = in_a_fork(lambda: call(sa))
    assert said.startswith("RuntimeError: an SA is not carried over a fork")
    assert "make a new one with new keys" in said
    call(sa)


def test_an_sa_that_was_made_in_a_fork_works_there() -> None:
    assert in_a_fork(lambda: seal(outbound(), ipv4())) == ""


def ivs(count: int) -> list[bytes]:
    return [bytes(packet[8:16]) for packet in seal(SHARED, *[ipv4()] * count)]


SHARED = outbound()


def test_workers_of_a_pool_never_send_under_one_nonce() -> None:
    """E02: each worker would begin where its parent was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            results = [pool.apply_async(ivs, (count,)) for count in (3, 4)]
            for result in results:
                with pytest.raises(RuntimeError, match="not carried over a fork"):
                    result.get()
