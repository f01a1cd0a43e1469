"""Which reports of a group are sent, and how many are counted as held back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.config.config import Limit
from slowhound.core.report import Report
from slowhound.delivery import rate_limit
from slowhound.delivery.rate_limit import RateLimiter
from tests.harness.reports import dead_report, slow_report

LIMIT = Limit(2, 60.0)
OTHER = "ba9876543210"


def admit(
    limiter: RateLimiter, number: int, now: float, group: str = "0123456789ab"
) -> Report | None:
    return limiter.admit(slow_report(number, group), LIMIT, now)


def test_first_of_a_group_is_sent_and_marked_as_the_first() -> None:
    """The first of each group, also while another group is held back."""
    limiter = RateLimiter()
    assert [bool(admit(limiter, number, 1000.0)) for number in range(5)] == [True, True] + [
        False
    ] * 3
    first = admit(limiter, 5, 1000.0, OTHER)
    assert first is not None
    assert first.first_seen
    assert first.held_back == 0


def test_next_one_after_the_window_has_the_number_held_back() -> None:
    """The window slides: there is room as soon as one of those sent is old enough."""
    limiter = RateLimiter()
    for number, now in enumerate([1000.0, 1030.0, 1031.0, 1059.9]):
        admit(limiter, number, now)
    later = admit(limiter, 4, 1060.0)
    assert later is not None
    assert (later.held_back, later.first_seen) == (2, False)
    assert admit(limiter, 5, 1060.0) is None


@given(st.lists(st.tuples(st.floats(0, 200), st.sampled_from(["a" * 12, "b" * 12]))))
def test_messages_add_up_to_all_reports(steps: list[tuple[float, str]]) -> None:
    """Each message counts itself and those it reports as held back; the others still wait."""
    limiter, now, counted = RateLimiter(), 1000.0, 0
    for number, (seconds, group) in enumerate(steps):
        now += seconds - 50  # also a clock that goes back
        sent = admit(limiter, number, now, group)
        counted += 1 + sent.held_back if sent is not None else 0
    waiting = sum(group.held for group in limiter.groups.values())
    assert counted + waiting == len(steps)


def test_newest_that_was_held_back_is_released_once_there_is_room() -> None:
    """It counts all the others, and does not count itself twice."""
    limiter = RateLimiter()
    for number in range(10):
        admit(limiter, number, 1000.0)
    last = slow_report(9)
    assert limiter.release(last, LIMIT, 1059.0) is None
    released = limiter.release(last, LIMIT, 1060.0)
    assert released is not None
    assert released.held_back == 7
    assert limiter.groups[last.fingerprint].held == 0


def test_clock_that_is_put_back_silences_a_group_for_one_window_at_most() -> None:
    """What was sent in the future counts as sent now."""
    limiter = RateLimiter()
    for number in range(2):
        admit(limiter, number, 9_000_000.0)
    assert admit(limiter, 2, 1000.0) is None
    assert admit(limiter, 3, 1060.0) is not None


def test_clock_that_is_put_forward_lets_no_more_than_the_limit_through() -> None:
    """A new window begins."""
    limiter = RateLimiter()
    numbers = iter(range(100))
    for now in (1000.0, 9_000_000.0):
        assert sum(admit(limiter, next(numbers), now) is not None for _ in range(10)) == 2


def test_without_a_limit_all_are_sent() -> None:
    """``REPORT_LIMIT = None``; the first is still marked."""
    limiter = RateLimiter()
    sent = [limiter.admit(slow_report(number), None, 1000.0) for number in range(50)]
    assert [each is not None and each.first_seen for each in sent] == [True] + [False] * 49
    assert all(each is not None and each.held_back == 0 for each in sent)


def test_group_that_was_quiet_for_longest_is_forgotten_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The number of remembered groups is limited."""
    monkeypatch.setattr(rate_limit, "GROUPS_LIMIT", 2)
    limiter = RateLimiter()
    for group in ("a" * 12, "b" * 12, "a" * 12, "c" * 12):
        admit(limiter, 1, 1000.0, group)
    assert list(limiter.groups) == ["a" * 12, "c" * 12]


def test_ids_of_what_was_sent_are_known() -> None:
    """By these a report that comes again, from any process, is recognised."""
    limiter = RateLimiter()
    for number in range(3):
        admit(limiter, number, 1000.0)
    assert limiter.sent_ids() == {"request-0.slow", "request-1.slow"}


def test_groups_of_deaths_go_by_cause_view_and_place() -> None:
    """Not by line or request."""
    one = dead_report(1)
    moved = dead_report(2, crash_cause_loc="shop/rows.py:8:read", crash_stack="x")
    assert one.fingerprint == moved.fingerprint
    for change in (
        {"crash_cause": "signal"},
        {"resp_view": "other"},
        {"crash_cause_loc": "shop/rows.py:7:write"},
    ):
        assert dead_report(1, **change).fingerprint != one.fingerprint


def test_fingerprint_is_twelve_hex_digits_whatever_the_event_says() -> None:
    """It becomes a file name."""
    for wrong in ("../../etc/passwd", None, 5, "", "0123456789AB", "0123456789ab\n"):
        report = slow_report(slow_fingerprint=wrong)
        assert len(report.fingerprint) == 12
        assert set(report.fingerprint) <= set("0123456789abcdef")
    assert replace(slow_report(), event={}).fingerprint
