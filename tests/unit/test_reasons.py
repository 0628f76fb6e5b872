"""The reasons for refusing what a peer sent."""

from __future__ import annotations

import re
from pathlib import Path

import ironswan
from ironswan.ike.types import Because


def test_every_reason_is_given_somewhere() -> None:
    sources = "\n".join(path.read_text() for path in Path(ironswan.__file__).parent.rglob("*.py"))
    assert {reason.name for reason in Because} <= set(re.findall(r"Because\.([A-Z_]+)", sources))
