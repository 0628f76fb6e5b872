"""What all tests share: generated values are the same in every run, and no test is judged by its time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import settings

settings.register_profile("ironswan", derandomize=True, deadline=None, database=None)
settings.load_profile("ironswan")


@pytest.fixture(scope="session")
def absent() -> Callable[[str], NoReturn]:
    """Skip what needs something that is not here; with IRONSWAN_REQUIRE_PEERS=1, as on a build machine, fail."""

    def end(reason: str) -> NoReturn:
        if os.environ.get("IRONSWAN_REQUIRE_PEERS") == "1":
            pytest.fail(f"{reason}, and IRONSWAN_REQUIRE_PEERS=1", pytrace=False)
        pytest.skip(reason)

    return end
