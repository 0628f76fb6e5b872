"""Test vectors: where each is from, under what licence, and that what was computed can be computed again."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parents[2] / "vectors"
FILES = sorted(VECTORS.rglob("*.json"))


def entries(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The vectors of a file: all dictionaries in its lists, or the file itself where it is of one source."""
    if "source" in document:
        yield document
        return
    for part in document.values():
        if isinstance(part, list):
            yield from part


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_vector_has_a_source_and_a_licence(path: Path) -> None:
    found = list(entries(json.loads(path.read_text())))
    assert found
    lacking = [(n, name) for n, entry in enumerate(found) for name in ("source", "licence") if not entry.get(name)]
    assert lacking == []


def test_no_key_derivation_vector_is_of_a_source_under_the_gpl() -> None:
    document = json.loads((VECTORS / "ike_keys.json").read_text())
    said = {entry[name] for entry in entries(document) for name in ("source", "licence")}
    assert not [text for text in said for name in ("GPL", "strongSwan", "libreswan", "Linux") if name in text]


def test_key_derivation_vectors_are_what_pythons_hmac_computes() -> None:
    document = json.loads((VECTORS / "ike_keys.json").read_text())
    assert runpy.run_path(str(VECTORS / "make_ike_keys.py"))["made"](document) == document


@pytest.mark.parametrize("part", ["prf", "prf_plus", "sa_init"])
def test_every_prf_has_key_derivation_vectors(part: str) -> None:
    document = json.loads((VECTORS / "ike_keys.json").read_text())
    assert {entry["prf_id"] for entry in document[part]} == {2, 5, 6, 7}
    assert len({entry["id"] for entry in document[part]}) == len(document[part])
