"""There is no way to write a key of an SA into a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_texts import connection, problems, write


@pytest.mark.parametrize("key", ["keymat", "enc_key", "auth_key", "spi", "manual"])
def test_keys_by_hand_are_refused(tmp_path: Path, key: str) -> None:
    """E20: counter modes repeat nonces when a restart repeats keys, so keys come from IKE alone."""
    found = problems(write(tmp_path, connection("", f"{key} = 0x00112233\n")))
    assert len(found) == 1
    assert key in str(found[0])
