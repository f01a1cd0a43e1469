"""Reads the options that the test has put into the environment variable SLOWHOUND_TEST."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

OPTIONS: dict[str, Any] = json.loads(os.environ.get("SLOWHOUND_TEST", "{}"))
SCRATCH = Path(OPTIONS.get("scratch", "."))
HERE = Path(__file__).parent

# Seconds: longer than a request that only imports the views takes, on a busy machine.
LONG = 10.0


def is_soon_slow() -> bool:
    """Whether the threshold is so short that the import of the views could make a request slow."""
    after = (OPTIONS.get("slowhound") or {}).get("SLOW_AFTER", LONG)
    return min(after.values() if isinstance(after, dict) else [after]) < LONG


def import_views() -> None:
    """Imports the views, as Django does at the first request."""
    from django.urls import get_resolver

    assert get_resolver().url_patterns
