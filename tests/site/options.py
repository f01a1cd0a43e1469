"""What the test that started this process wants, from the environment's SLOWHOUND_TEST."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

OPTIONS: dict[str, Any] = json.loads(os.environ.get("SLOWHOUND_TEST", "{}"))
SCRATCH = Path(OPTIONS.get("scratch", "."))
HERE = Path(__file__).parent

# Seconds: a request that only imports the views, on a busy machine, is not as slow as that.
LONG = 10.0


def is_soon_slow() -> bool:
    """Whether a request is slow that has to import the views before it comes to its own."""
    after = (OPTIONS.get("slowhound") or {}).get("SLOW_AFTER", LONG)
    return min(after.values() if isinstance(after, dict) else [after]) < LONG


def import_views() -> None:
    """What Django does at the first request."""
    from django.urls import get_resolver

    assert get_resolver().url_patterns
