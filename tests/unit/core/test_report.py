"""A report: its time, as dogslow writes it and in ISO 8601; and no control character anywhere."""

from __future__ import annotations

import dataclasses

from tests.harness.reports import slow_report

TIME = 1_795_286_115.25  # 2026-11-21 18:35:15 UTC


def first_line(seconds: float) -> str:
    report = dataclasses.replace(slow_report(), intercepted=seconds)
    return report.text().partition("\n")[0]


def test_time_of_a_report_is_in_both_formats() -> None:
    """dogslow's date keeps its place, because programs parse it."""
    assert first_line(TIME) == (
        "Undead request intercepted at: 21-11-2026 18:35:15 UTC (2026-11-21T18:35:15Z)"
    )


def test_time_out_of_range_is_left_out() -> None:
    """Another process may have written such a time."""
    assert first_line(1e300) == "Undead request intercepted at: not known"


def test_no_part_of_a_report_moves_a_cursor() -> None:
    """Another process may have written these parts, and they are not masked or cut again."""
    report = dataclasses.replace(
        slow_report(), others=["  1.0 s \x1b[2J", "  b\r"], gil="held \x9b1A"
    )
    lines = report.text().split("\n")
    assert [
        line for line in lines if line.startswith("held") or line[2:] in {"1.0 s \\x1b[2J", "b\\r"}
    ] == ["held \\x9b1A", "  1.0 s \\x1b[2J", "  b\\r"]
    assert all(line.isprintable() for line in lines)
