"""docs/configuration.md says what the schema says, and the schema what the values are."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from config_texts import write

from ironswan.config import load, schema
from ironswan.config.reference import tables
from ironswan.policy.connection import ChildPolicy, Connection, Settings
from ironswan.policy.proposals import DEFAULT_KEYWORDS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()


def test_document_ends_with_the_tables_of_the_schema() -> None:
    assert DOCUMENT.endswith(tables()), "run `python -m ironswan.config.reference` and paste its output"


def test_document_names_the_default_proposals() -> None:
    assert all(f"`{text}`" in DOCUMENT for texts in DEFAULT_KEYWORDS.values() for text in texts)


@pytest.mark.parametrize(("fence", "name"), [("```\n", "site.conf"), ("```toml\n", "site.toml")])
def test_examples_of_the_document_load(tmp_path: Path, fence: str, name: str) -> None:
    match = re.search(re.escape(fence) + r"(.*?)```", DOCUMENT, re.DOTALL)
    assert match is not None
    assert load(write(tmp_path, match[1], name)).connections[0].name == "site"


@pytest.mark.parametrize(
    ("keys", "values"),
    [(schema.CONNECTION, Connection), (schema.CHILD, ChildPolicy), (schema.SETTINGS, Settings)],
)
def test_every_key_fills_a_field_that_exists(keys: tuple[schema.Key, ...], values: type) -> None:
    known = {field.name for field in fields(values)}
    assert {key.field for key in keys if key.field is not None} <= known


def test_every_field_of_a_child_is_filled_by_a_key_or_waits_for_one() -> None:
    waiting = {"name"} | {key.name for key in schema.CHILD_UNSUPPORTED if key.name.startswith("copy_")}
    assert {field.name for field in fields(ChildPolicy)} <= waiting | {key.field for key in schema.CHILD}


def test_defaults_of_the_settings_are_those_of_the_table() -> None:
    for key in schema.SETTINGS:
        assert key.kind.read(key.default) == getattr(Settings(), key.field or "")


@pytest.mark.parametrize(
    ("keys", "unsupported"),
    [(schema.CONNECTION, schema.CONNECTION_UNSUPPORTED), (schema.AUTH, schema.AUTH_UNSUPPORTED),
     (schema.CHILD, schema.CHILD_UNSUPPORTED), (schema.SETTINGS, schema.SETTINGS_UNSUPPORTED)],
)  # fmt: skip
def test_a_key_is_supported_or_not(keys: tuple[schema.Key, ...], unsupported: tuple[schema.Unsupported, ...]) -> None:
    assert not {key.name for key in keys} & {key.name for key in unsupported}
