"""Samples of an external process replace samples that were taken in the process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.core.record import Record
from slowhound.flames.profile import UNSAMPLED
from slowhound.flames.sampling import external, merge_external
from slowhound.flames.sampling.attribution import Entry, Samples
from slowhound.flames.sampling.external import ExternalSample
from slowhound.flames.sampling.stack_keys import key_of_stack
from slowhound.flames.sampling.symbolize import profile_of
from slowhound.frames.frames import Frame, Stack
from slowhound.system.wait_states import StateKind, ThreadState

LOCK = ThreadState(StateKind.LOCK)


def stack(*names: str) -> Stack:
    return tuple(Frame("/app.py", number, name) for number, name in enumerate(names))


def samples(*entries: Entry) -> Samples:
    """Of a request that began at 100 and has ended."""
    found = Samples(100.0, 100.0, lambda _: None, lambda _: None, lambda _: 0.0)
    found.entries = list(entries)
    found.taken = len(entries)
    found.last = 100.0 + entries[-1].at
    found.longest_gap = max(entry.weight for entry in entries)
    return found


def inside(at: float, weight: float, names: str, state: str = "running") -> Entry:
    return Entry(at, weight, key_of_stack(stack(*names.split())), state)  # type: ignore[arg-type]


def outside(begin: float, end: float, names: str, *, cpu: float = 1.0) -> list[ExternalSample]:
    """One each 10 ms; ``cpu`` is the share of time for which the thread had one."""
    count = round((end - begin) * 100)
    times = [begin + 0.005 + number / 100 for number in range(count)]
    return [ExternalSample(100.0 + at, at * cpu, stack(*names.split())) for at in times]


def shares(found: Samples) -> dict[tuple[str, str], float]:
    """Seconds by the names of the stack, and the state."""
    totals: dict[tuple[str, str], float] = {}
    for entry in found.entries:
        frames = [item[0] for item in entry.key]
        names = " ".join(frame.function for frame in frames if isinstance(frame, Frame))
        totals[names, entry.state] = totals.get((names, entry.state), 0.0) + entry.weight
    return {key: round(total, 3) for key, total in totals.items()}


@pytest.fixture(params=[True, False])
def whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Python reads all of a stack (3.15), or as far as the last call from C (3.14)."""
    monkeypatch.setattr(merge_external, "WHOLE_STACKS", request.param)
    return bool(request.param)


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(("cpu", "state"), [(1.0, "running"), (0.1, "starved")])
def test_unsampled_time_gets_frames(cpu: float, state: str) -> None:
    """The thread's CPU time tells whether it held the GIL, or waited for it as well."""
    found = samples(inside(1.0, 1.0, "main"), inside(2.0, 1.0, "main", UNSAMPLED))
    merge_external.merge_into(
        found, outside(0.0, 1.0, "main") + outside(1.0, 2.0, "main op", cpu=cpu)
    )
    totals = shares(found)
    assert totals["main op", state] == pytest.approx(1.0, abs=0.02)
    assert sum(totals.values()) == pytest.approx(2.0, abs=0.001)
    assert not any(state == UNSAMPLED and total > 0.01 for (_, state), total in totals.items())
    assert found.external_taken == 200
    assert found.longest_gap < 0.02


@pytest.mark.usefixtures("whole")
def test_time_without_external_samples_keeps_those_from_inside() -> None:
    """Before the external process had started, and after it died."""
    found = samples(inside(1.0, 1.0, "main a"), inside(3.0, 2.0, "main b", UNSAMPLED))
    merge_external.merge_into(found, outside(0.5, 2.0, "main c"))
    totals = shares(found)
    assert totals["main a", "running"] == pytest.approx(0.5, abs=0.02)
    assert totals["main b", UNSAMPLED] == pytest.approx(1.0, abs=0.02)
    assert sum(totals.values()) == pytest.approx(3.0, abs=0.001)
    assert [each.at for each in found.entries] == sorted(each.at for each in found.entries)


def test_torn_stack_is_dropped_and_counted(whole: bool) -> None:
    """It begins with no frame that was there, and the frames that were there changed meanwhile."""
    found = samples(inside(0.5, 0.5, "main a"), inside(1.0, 0.5, "main b"))
    torn = outside(0.2, 0.3, "rubbish a")
    merge_external.merge_into(
        found, outside(0.0, 0.2, "main c") + torn + outside(0.3, 1.0, "main c")
    )
    assert found.external_dropped == len(torn)
    totals = shares(found)
    assert not any("rubbish" in name for name, _ in totals)
    assert totals["main a", "running"] == pytest.approx(0.1, abs=0.02)
    assert whole is merge_external.WHOLE_STACKS


def test_part_of_a_stack_is_matched(whole: bool) -> None:
    """Of several frames of one function, to the one whose callees agree."""
    found = samples(inside(1.0, 1.0, "main call inner call view"))
    merge_external.merge_into(found, outside(0.0, 1.0, "call view op"))
    totals = shares(found)
    expected = "main call inner call view" if whole else "main call inner call view op"
    assert totals[expected, "running"] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    "names", ["main a call view | main b call op", "b call op | main call view"]
)
def test_stack_is_matched_where_most_frames_agree(
    monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    """It may have begun before the sample from inside of that time."""
    monkeypatch.setattr(merge_external, "WHOLE_STACKS", False)
    first, second = names.split(" | ")
    found = samples(inside(1.0, 1.0, first), inside(2.0, 1.0, second))
    merge_external.merge_into(found, outside(0.0, 2.0, "call op"))
    best = first if first.endswith("op") else second
    assert shares(found)[best, "running"] == pytest.approx(2.0, abs=0.02)


def test_part_that_began_in_unsampled_time_is_put_below_its_frames(whole: bool) -> None:
    """All frames of unsampled time were there, so a call from C came from them."""
    found = samples(inside(1.0, 1.0, "main view", UNSAMPLED))
    found.entries[0].late = True
    merge_external.merge_into(found, outside(0.0, 1.0, "compares op"))
    expected = ("main view", UNSAMPLED) if whole else ("main view compares op", "running")
    assert shares(found)[expected] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("times", [[0.5], [0.5, 0.5]], ids=["alone", "twice at one time"])
@pytest.mark.usefixtures("whole")
def test_sample_without_time_is_no_entry(times: list[float]) -> None:
    """A single one has no other to share the time with; the samples from inside stay."""
    found = samples(inside(1.0, 1.0, "main a"))
    merge_external.merge_into(
        found, [ExternalSample(100.0 + at, at, stack("main", "a")) for at in times]
    )
    assert [(each.at, each.weight) for each in found.entries] == [(1.0, 1.0)]


times = st.floats(0.0, 2.0)


@given(st.lists(st.tuples(times, st.sampled_from(["main a", "main b", ""])), min_size=1), times)
def test_no_entry_of_weight_0_is_in_a_profile(parts: list[tuple[float, str]], end: float) -> None:
    """For all samples from inside and from outside, and where the two meet."""
    at, entries = 0.0, []
    for weight, names in parts:
        at += weight
        entries.append(inside(at, weight, names))
    found = samples(*entries)
    reads = [each for number in range(4) for each in outside(number * 0.5, end, "main a")]
    merge_external.merge_into(found, sorted(reads))
    made = profile_of(Record("GET", "/", 100.0), found, 0.05, {}, 0.0)
    assert all(each.weight > 0 for each in made.samples)


def test_wait_keeps_what_the_thread_waits_for() -> None:
    """That is known from inside only, and for this stack only."""
    found = samples(inside(1.0, 1.0, "main recv", "waiting"))
    found.entries[0].waiting = LOCK
    merge_external.merge_into(
        found, outside(0.0, 0.5, "main recv") + outside(0.5, 1.0, "main other")
    )
    assert {(each.state, each.waiting) for each in found.entries if each.weight > 0.1} == {
        ("waiting", LOCK),
        ("running", None),
    }


def test_output_of_the_external_process_may_be_torn() -> None:
    """Killed while it writes, it leaves half a line; names may contain any character."""
    name = "t\tn\nu\udc80é"
    line = b"stack\t/a.py\t3\t" + name.encode("unicode_escape")
    data = line + b"\n1.5\t0.25\t0\n2.5\t0.5\t0\n3.5\t0."
    assert external.decoded(data) == [
        ExternalSample(1.5, 0.25, (Frame("/a.py", 3, name),)),
        ExternalSample(2.5, 0.5, (Frame("/a.py", 3, name),)),
    ]
    assert external.decoded(b"1.5\t0.25\t7\nrubbish\n") == []
    assert external.decoded(b"") == []
