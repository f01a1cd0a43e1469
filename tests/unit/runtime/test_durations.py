"""Durations are read in one way by commands and pages."""

from __future__ import annotations

import pytest

from slowhound.runtime.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604800), ("1w", 604800), ("0s", 0)],
)
def test_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    """The result is in seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "10", "-1m", "1 m", "1e3s", "1y", "\u0661s", "1m\n", "9" * 10 + "s"]
)
def test_everything_else_is_no_duration(text: str) -> None:
    """In particular a number without a unit: seconds or minutes would be a guess."""
    assert parse_duration(text) is None
