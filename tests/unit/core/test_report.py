"""The first line of a report has its time twice: as dogslow writes it, and in ISO 8601."""

from __future__ import annotations

import dataclasses

from tests.harness.reports import slow_report

TIME = 1_795_286_115.25  # 2026-11-21 18:35:15 UTC


def first_line(seconds: float) -> str:
    report = dataclasses.replace(slow_report(), intercepted=seconds)
    return report.text().partition("\n")[0]


def test_time_of_a_report_is_in_both_formats() -> None:
    """dogslow's part stays at its place for whatever parses it."""
    assert first_line(TIME) == (
        "Undead request intercepted at: 21-11-2026 18:35:15 UTC (2026-11-21T18:35:15Z)"
    )


def test_time_out_of_range_is_left_out() -> None:
    """Another process may have written it."""
    assert first_line(1e300) == "Undead request intercepted at: not known"
