"""``python -m slowhound``."""

from __future__ import annotations

import sys

from slowhound.cli import main

if __name__ == "__main__":
    sys.exit(main())
