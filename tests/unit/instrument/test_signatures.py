"""Wrapped methods of libraries get all arguments, also those of a future version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slowhound.gunicorn import combine
from slowhound.instrument import exception, template, view
from slowhound.runtime.library_names import find_imported
from slowhound.system import guard

Seen = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    monkeypatch.setattr(guard, "loud", False)
    return []


@pytest.fixture
def newer(seen: Seen) -> Callable[..., str]:
    """A method of a future version."""

    def method(_self: object, *args: object, **kwargs: object) -> str:
        seen.append((args, kwargs))
        return "its result"

    return method


@pytest.mark.parametrize("name", [combine.SETUP, combine.MURDER, combine.KILL])
def test_arbiters_methods_get_all_that_they_are_given(
    name: str, newer: Callable[..., str], seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a stop would end in a TypeError of the arbiter."""
    for each in (combine.SETUP, combine.MURDER, combine.KILL):
        monkeypatch.setattr(each, newer)
    combine.combine_always()
    find_imported(name)(object(), "first", more="reason")
    assert seen == [(("first",), {"more": "reason"})]


def test_djangos_methods_get_all_that_they_are_given(
    newer: Callable[..., str], seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They also return what they returned before."""
    monkeypatch.setattr(exception, "_process_exception", newer)
    monkeypatch.setattr(exception, "_response_for_exception", newer)
    ours = (exception._see_first, exception._see_made)
    for method in (view._seen(newer), *ours, template._observed(newer)):
        seen.clear()
        assert method(object(), "first", more=1) == "its result"  # type: ignore[arg-type]
        assert seen == [(("first",), {"more": 1})]
