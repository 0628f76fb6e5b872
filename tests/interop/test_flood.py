"""A flood of garbage at a gateway: its tunnel goes on, every datagram has its reason, and IKE is answered."""

from __future__ import annotations

import argparse
import json

import pytest

from ironswan.bench.flood import KINDS, Plan, measure
from ironswan.cli import bench_flood

REASONS = {
    "unknown_spi": "drop_unknown_spi",
    "wrong_icv": "drop_icv_mismatch",
    "marker": "drop_ike_malformed",
    "ike_header": "drop_ike_rate",
    "runt": "drop_runt",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tunnel_outlives_a_flood_and_its_gateways_still_answer(privileged: None, kind: str) -> None:
    result = measure(kind, Plan(rate=20_000, traffic=1_000, seconds=1))
    assert result.kept > 0.5
    assert result.answers
    assert result.dropped[REASONS[kind]] > 1_000


def test_the_command_says_what_was_kept(privileged: None, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    bench_flood.add_parser(parser.add_subparsers())
    words = ["flood", "--kind", "runt", "--rate", "1000", "--traffic", "500", "--seconds", "1", "--json"]
    arguments = parser.parse_args(words)
    assert arguments.handler(arguments) == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert row["kind"] == "runt"
    assert row["kept"] > 0
