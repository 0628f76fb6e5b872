"""Exit codes of the program: 0 ok, 1 failed, 2 usage, 3 not running, 4 no such object, 5 configuration, 6 peer refused,
7 timeout, 8 permission. They are the control protocol's, so that a refusal on the socket keeps its meaning.
"""

from __future__ import annotations

from ironswan.control.protocol import ExitCode

__all__ = ["ExitCode"]
