"""Helpers for tests of files that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.events import request

BROKEN = "1770000000000-11-0"
GOOD = "1770000000001-12-0"
IDS = "SELECT req_id FROM events"


def seven() -> dict[str, Any]:
    return request(7, 7, "shop", 0.1)


def counting(monkeypatch: pytest.MonkeyPatch, what: Any, name: str) -> list[Any]:
    """Gets one item with each call of the method."""
    calls: list[Any] = []
    method = getattr(what, name)

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return method(*arguments)

    monkeypatch.setattr(what, name, counted)
    return calls
