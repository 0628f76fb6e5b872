"""Interop tests need root, a TUN device and, for most of them, strongSwan; they say what is missing instead of failing.

IRONSWAN_REQUIRE_PEERS=1 turns a missing peer into a failure, so that a build machine cannot skip them unnoticed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interop_peers import WIRE, Sites, missing_programs, sites
from routing_daemons import FRR

from ironswan.lab.capture import Capture

Absent = Callable[[str], None]


@pytest.fixture(scope="session")
def privileged(absent: Absent) -> None:
    """Namespaces and TUN devices are ours to make."""
    if os.geteuid():
        absent("needs root for network namespaces")
    if not Path("/dev/net/tun").exists():
        absent("needs /dev/net/tun")


@pytest.fixture
def wire(privileged: None, tmp_path: Path) -> Iterator[Sites]:
    """Two sites and a wire, for ironswan alone; whatever a test does, all on the wire is ESP or IKE and none readable.

    A test of a suite that does not encrypt says so.
    """
    with sites(tmp_path) as pair:
        tap = Capture(pair.left, WIRE)
        try:
            yield pair
            found = tap.finish()
        finally:
            tap.close()
        assert found.unprotected == found.dropped == 0, found.examples
        assert pair.readable or not found.readable


@pytest.fixture
def peers(wire: Sites, absent: Absent) -> Sites:
    """Two sites and a wire, with strongSwan at hand."""
    if lacking := missing_programs():
        absent(f"strongSwan is not complete here: {', '.join(lacking)} missing")
    return wire


@pytest.fixture
def routers(wire: Sites, absent: Absent) -> Sites:
    """Two sites and a wire, with FRR at hand."""
    if not (FRR / "bgpd").exists():
        absent(f"FRR is not here: {FRR}/bgpd missing")
    return wire


@pytest.fixture
def iperf3(absent: Absent) -> str:
    """The program."""
    program = shutil.which("iperf3")
    if program is None:
        absent("iperf3 is not here")
    return str(program)
