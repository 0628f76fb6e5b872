"""What all tests share: generated values are the same in every run, and no test is judged by its time."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ironswan", derandomize=True, deadline=None, database=None)
settings.load_profile("ironswan")
