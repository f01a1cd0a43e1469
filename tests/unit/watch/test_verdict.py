"""What several samples of a request show together."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.core.observations import Sample
from slowhound.frames.frames import Frame, Stack
from slowhound.system.wait_states import StateKind, ThreadState
from slowhound.watch.verdict import verdict

RECV = ThreadState(StateKind.RECV, "10.0.0.5:5432")


def stack(function: str, line: int = 1, outer: int = 1) -> Stack:
    """A stack of an application in a library in an application."""
    return (
        Frame("/srv/shop/wsgi.py", outer, "app"),
        Frame("/srv/shop/wsgi.py", 2, "middleware"),
        Frame("/srv/shop/wsgi.py", 3, "dispatch"),
        Frame("/srv/shop/urls.py", 4, "route"),
        Frame("/srv/shop/views.py", line, function),
        Frame(json.__file__, 7, "loads"),
    )


def test_same_frames_in_each_sample_are_stuck() -> None:
    """Where, for how long, what it waits for, and that nearly no CPU time went by."""
    samples = [Sample(age, stack("pay", 88), RECV, age / 100) for age in (5.0, 10.0, 20.0, 46.0)]
    found = verdict(samples)
    assert found.word == "stuck"
    assert found.text == (
        "stuck for about 41 s in /srv/shop/views.py:88:pay, the same in 4 samples,"
        " waiting: recv from 10.0.0.5:5432; on the CPU for 0.4 of 41 s"
    )


def test_outer_frames_do_not_count() -> None:
    """A stack that differs only far outside is stuck all the same."""
    samples = [Sample(1.0, stack("pay", outer=1)), Sample(2.0, stack("pay", outer=2))]
    assert verdict(samples).word == "stuck"
    assert verdict([*samples, Sample(3.0, stack("pay", line=2))]).word == "slow"


def test_parts_of_a_response_that_are_sent_are_progress() -> None:
    """A stream stands at the same line each time, and is not stuck."""
    epoll = ThreadState(StateKind.EPOLL)
    samples = [Sample(float(age), stack("feed"), epoll, parts=age) for age in (1, 2, 3, 3)]
    assert verdict(samples[2:]).word == "stuck"
    assert verdict(samples).word == "slow"
    assert "the last 2 of them" in verdict(samples).text


def test_time_belongs_to_the_sample_that_follows() -> None:
    """The shares are of time, not of samples; they are called an estimate, CPU time is not."""
    samples = [
        Sample(1.0, stack("total", 12), None, 0.5),
        Sample(2.0, stack("tax", 3), None, 1.5),
        Sample(5.0, stack("total", 12), None, 4.4),
    ]
    found = verdict(samples)
    assert found.word == "slow"
    assert found.text == (
        "slow: 80 % in /srv/shop/views.py:12:total, 20 % in /srv/shop/views.py:3:tax;"
        " estimated from 3 samples; on the CPU for 3.9 of 4.0 s"
    )


def test_many_places_are_summed_up() -> None:
    """Three places are named, the others counted."""
    samples = [Sample(float(each * each), stack("f", each)) for each in range(1, 7)]
    text = verdict(samples).text
    assert text.count(" % in ") == 3
    assert text.startswith("slow: 31 % in /srv/shop/views.py:6:f, 25 % in")
    assert "the rest in 3 more" in text


def test_request_that_came_to_a_halt_says_since_when() -> None:
    """What moved and then stopped is slow, and the halt is in the text."""
    samples = [Sample(1.0, stack("a")), Sample(2.0, stack("b")), Sample(12.0, stack("b"))]
    assert verdict(samples).text.endswith(
        "3 samples, the last 2 of them, over 10 s, in the same place"
    )


@pytest.mark.parametrize(
    ("waiting", "shown"),
    [
        (ThreadState(StateKind.RUNNING), "running"),
        (ThreadState(StateKind.GIL), "running, or waiting for the GIL"),
        (RECV, "waiting: recv from 10.0.0.5:5432"),
    ],
)
def test_running_is_not_called_a_wait(waiting: ThreadState, shown: str) -> None:
    """A thread at work is not waiting."""
    samples = [Sample(1.0, stack("a"), waiting), Sample(2.0, stack("a"), waiting)]
    assert verdict(samples).text.endswith(f"2 samples, {shown}")


def test_wait_in_some_samples_says_in_how_many() -> None:
    """The most frequent one is named."""
    samples = [Sample(float(age), stack("a"), RECV if age > 1 else None) for age in (1, 2, 3)]
    assert verdict(samples).text.endswith(f"waiting: {RECV} (in 2 of them)")


def test_fewer_than_two_samples_say_nothing_of_speed() -> None:
    """One sample says where, none says nothing; neither says stuck."""
    assert verdict([]).word == "unknown"
    found = verdict([Sample(5.0, stack("pay", 88), RECV)])
    assert found.word == "unknown"
    assert found.text == (
        f"unknown: one sample, after 5.0 s, in /srv/shop/views.py:88:pay, waiting: {RECV}"
    )


def test_deadlock_is_a_line_of_its_own() -> None:
    """Whatever else is said."""
    found = verdict([Sample(1.0, stack("a")), Sample(2.0, stack("a"))], "1 waits for 2,\n2 for 1")
    first, second = found.text.split("\n")
    assert first.startswith("stuck")
    assert second == "deadlock: 1 waits for 2,\\n2 for 1"


def test_library_is_named_when_there_is_nothing_else() -> None:
    """A stack without the application's frames names its innermost one, an empty one none."""
    library: Stack = (Frame(json.__file__, 7, "loads"),)
    assert "json/__init__.py:7:loads" in verdict([Sample(1.0, library)]).text
    assert "no frame" in verdict([Sample(1.0, ())]).text


@given(
    st.lists(
        st.builds(
            Sample,
            st.floats(0, 1e6),
            st.lists(st.builds(Frame, st.text(), st.integers(0), st.text()), max_size=7).map(tuple),
            st.none() | st.builds(ThreadState, st.sampled_from(StateKind), st.text()),
            st.none() | st.floats(0, 1e6),
        ),
        max_size=6,
    )
)
def test_verdict_of_anything_is_one_printable_line(samples: list[Sample]) -> None:
    """Whatever the names, and even when the clock seems to go back."""
    found = verdict(samples)
    assert found.text.isprintable()
    assert found.text.startswith(found.word)
