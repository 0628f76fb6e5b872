"""`python -m ironswan`."""

from __future__ import annotations

import sys

from ironswan.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
