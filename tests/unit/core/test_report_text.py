"""What a report contains beside the stack."""

from __future__ import annotations

import time
from types import SimpleNamespace

from slowhound.core.record import Record
from slowhound.watch.wording import describe_others


def test_path_of_another_request_is_shown_when_its_url_is_resolved() -> None:
    """Only then the route shows which parts of it are secret."""
    now = time.monotonic()
    slow, early, known = (Record("GET", f"/reset/{name}/", now) for name in ("a", "token", "b"))
    early.request = SimpleNamespace(resolver_match=None)
    known.request = SimpleNamespace(resolver_match=SimpleNamespace(view_name="reset"))
    first, second = describe_others(slow, [slow, early, known], now)
    assert "token" not in first
    assert "GET (its URL is not resolved yet)  -" in first
    assert "GET /reset/b/  reset" in second
