"""The tables of keys in docs/configuration.md; `python -m ironswan.config.reference` prints them."""

from __future__ import annotations

from collections.abc import Sequence

from ironswan.config import schema
from ironswan.config.schema import Key, Unsupported

_SECTIONS: tuple[tuple[str, Sequence[Key], Sequence[Unsupported]], ...] = (
    ("connections.<connection>", schema.CONNECTION, schema.CONNECTION_UNSUPPORTED),
    ("connections.<connection>.local, .remote", schema.AUTH, schema.AUTH_UNSUPPORTED),
    ("connections.<connection>.children.<child>", schema.CHILD, schema.CHILD_UNSUPPORTED),
    ("secrets.ike<suffix>", schema.SECRET, ()),
    ("settings", schema.SETTINGS, schema.SETTINGS_UNSUPPORTED),
)


def tables() -> str:
    """One Markdown table a section, and the names of the keys that are not supported yet."""
    return "\n".join(_table(*section) for section in _SECTIONS)


def _table(title: str, keys: Sequence[Key], unsupported: Sequence[Unsupported]) -> str:
    lines = [f"### `{title}`", "", "| key | default | value | meaning |", "|---|---|---|---|"]
    lines += [f"| `{key.name}` | {key.default} | {_cell(key.kind.allowed)} | {_cell(key.meaning)} |" for key in keys]
    if unsupported:
        lines += ["", f"Not supported yet: {', '.join(f'`{key.name}`' for key in unsupported)}."]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    import sys

    sys.stdout.write(tables())
