"""The tunnel benchmark for real, as short as it can be."""

from __future__ import annotations

import argparse
import json

import pytest

from ironswan.bench.tunnel.link import FRAMES, LINK_MTU, ground
from ironswan.bench.tunnel.measures import QUICK
from ironswan.cli import bench_tunnel
from ironswan.lab.processes import until
from ironswan.lab.traffic import Host, ping


def test_plain_link_and_ironswan_are_measured(privileged: None, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    bench_tunnel.add_parser(parser.add_subparsers())
    words = "--quick --only veth,ironswan --offload whole --seconds 1 --rounds 1 --generator own --json"
    arguments = parser.parse_args(["tunnel", *words.split(" ")])
    assert arguments.handler(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    figures = {row["peer"]: row["figures"] for row in document["results"]}
    assert figures.keys() == {"veth", "ironswan"}
    for peer in figures:
        assert figures[peer].keys() == set(QUICK)
        assert all(figure["median"] > 0 for figure in figures[peer].values())


def test_link_with_frames_cuts_super_packets_and_carries_traffic(privileged: None) -> None:
    with ground(FRAMES, LINK_MTU) as built:
        left, right = (Host(site.namespace, site.outer) for site in (built.left, built.right))
        # The first packets of a link just made may be lost while the two sides learn of each other.
        until(lambda: ping(left, right.address, 1).received == 1, 10, "the link carries packets")
        assert ping(left, right.address, 3).received == 3
