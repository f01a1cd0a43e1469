"""To what time is attributed: injected clocks, no thread."""

from __future__ import annotations

import dis
from types import CodeType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slowhound.core.observations import Sample
from slowhound.flames.profile import UNSAMPLED
from slowhound.flames.sampling import attribution as module
from slowhound.flames.sampling.attribution import Entry, Samples, Timing
from slowhound.flames.sampling.stack_keys import Item, Key, StackSample
from slowhound.frames.frames import Frame
from slowhound.runtime.code_objects import know
from slowhound.system.wait_states import StateKind, ThreadState

RUNNING, GIL, SLEEP, LOCK = (
    ThreadState(kind)
    for kind in (StateKind.RUNNING, StateKind.GIL, StateKind.SLEEP, StateKind.LOCK)
)
RECV = ThreadState(StateKind.RECV, "10.0.0.5:5432")
THREAD = 77
SWITCH = 0.005


def outer() -> None:
    inner(0)


def inner(number: int) -> bool:
    for _ in range(2):
        print(number)
    return dict(*[number]) is None


def at(code: CodeType, instruction: str) -> Item:
    """The frame of a function at its last instruction of this name."""
    found = [each.offset for each in dis.get_instructions(code) if each.opname == instruction]
    return know(code), found[-1]


OUTER = at(outer.__code__, "CALL")
CALL, TURN = at(inner.__code__, "CALL"), at(inner.__code__, "JUMP_BACKWARD")
START = at(inner.__code__, "RESUME")
EXPANDED = at(inner.__code__, "CALL_FUNCTION_EX")


class Thread:
    """What the kernel would show of the thread."""

    def __init__(self) -> None:
        self.cpu = self.queued = 0.0
        self.waits: ThreadState | None = RUNNING


@pytest.fixture
def thread() -> Thread:
    return Thread()


@pytest.fixture
def samples(thread: Thread) -> Samples:
    """Of a request that began at 100 and is sampled from its beginning on."""
    made = Samples(
        100.0, 100.0, lambda _: thread.cpu, lambda _: thread.waits, lambda _: thread.queued
    )
    made.prime(THREAD)
    return made


def sample(
    samples: Samples, key: Key, now: float, thread: int | None = THREAD, **timing: float
) -> Entry:
    samples.add(Timing(now, **{"switch": SWITCH, **timing}), StackSample(key, thread))
    return samples.entries[-1]


def held_the_gil(samples: Samples, thread: Thread, item: Item, **timing: float) -> Entry:
    """A first sample on time, and one that is 2 s late because the thread ran all the time."""
    thread.cpu = 0.05
    sample(samples, (OUTER, CALL), 100.05)
    thread.cpu = 2.1
    facts = {"late": 2.0, "held": 2.0, "others": 2.05, **timing}
    return sample(samples, (OUTER, item), 102.1, **facts)


def test_time_since_the_last_sample_is_the_new_stacks(samples: Samples, thread: Thread) -> None:
    """Not to the stack of the last sample."""
    thread.cpu = 0.1
    sample(samples, (OUTER,), 100.1)
    thread.cpu = 0.4
    entry = sample(samples, (OUTER, CALL), 100.4)
    assert (entry.key, entry.weight, entry.at) == (
        (OUTER, CALL),
        pytest.approx(0.3),
        pytest.approx(0.4),
    )


def test_late_sample_at_a_call_is_attributed_to_it(samples: Samples, thread: Thread) -> None:
    """CPython releases the GIL at the call itself."""
    entry = held_the_gil(samples, thread, CALL)
    assert (entry.state, entry.key, entry.late) == ("running", (OUTER, CALL), True)
    # Of the 50 ms before it was due, and the switch interval of 5 ms, half is the stack before.
    assert entry.weight == pytest.approx(2.05 - 0.055 / 2)
    assert samples.entries[0].weight == pytest.approx(0.05 + 0.055 / 2)


@pytest.mark.parametrize("item", [TURN, EXPANDED], ids=["loop", "f(*args)"])
def test_late_sample_after_an_operator_is_unsampled(
    samples: Samples, thread: Thread, item: Item
) -> None:
    """What held the GIL has ended where a loop jumps back, and after a call of Python code."""
    entry = held_the_gil(samples, thread, item)
    assert (entry.state, entry.key) == (UNSAMPLED, (OUTER, item))


def test_late_sample_at_a_start_is_not_attributed_to_the_frame_that_begins(
    samples: Samples, thread: Thread
) -> None:
    """The function that was called next did not hold the GIL; those around it were there."""
    entry = held_the_gil(samples, thread, START)
    assert (entry.state, entry.key) == (UNSAMPLED, (OUTER,))


def test_late_sample_at_a_wait_is_unsampled(samples: Samples, thread: Thread) -> None:
    """A thread that waits now did not hold the GIL by that."""
    thread.waits = SLEEP
    assert held_the_gil(samples, thread, CALL).state == UNSAMPLED


def test_sampler_that_lost_the_gil_again_knows_no_frame(samples: Samples, thread: Thread) -> None:
    """The thread that held it has moved on since."""
    entry = held_the_gil(samples, thread, CALL, took=SWITCH * 2)
    assert (entry.state, entry.key) == (UNSAMPLED, ())


@pytest.mark.parametrize(
    "timing",
    [
        {"others": 4.0},  # another thread ran as well
        {"held": 0.0},  # the sampler waited for a CPU: bytecode ran meanwhile
    ],
    ids=["another thread", "no CPU for the sampler"],
)
def test_delay_that_the_gil_does_not_explain_is_sampled_time(
    samples: Samples, thread: Thread, timing: dict[str, float]
) -> None:
    """Only a thread that held the GIL alone is attributed the delay."""
    assert held_the_gil(samples, thread, TURN, **timing).late is False


def test_thread_without_a_cpu_is_starved(samples: Samples, thread: Thread) -> None:
    """Its waiting for a CPU is separate from its running."""
    thread.cpu, thread.queued = 0.02, 0.08
    sample(samples, (OUTER, CALL), 100.1)
    assert {each.state: round(each.weight, 3) for each in samples.entries} == {
        "starved": 0.08,
        "running": 0.02,
    }


@pytest.mark.parametrize("cpu", [0.0, 0.001])
def test_thread_without_a_cpu_all_the_time_is_only_starved(
    samples: Samples, thread: Thread, cpu: float
) -> None:
    """A negligible rest has no entry of its own."""
    thread.cpu, thread.queued = cpu, 0.1 - cpu
    sample(samples, (OUTER, CALL), 100.1)
    assert [(each.state, round(each.weight, 6)) for each in samples.entries] == [("starved", 0.1)]


def test_entry_of_a_waiting_thread_has_what_it_waits_for(samples: Samples, thread: Thread) -> None:
    """Its state is that at the sample; the kernel shows what it waits for."""
    thread.waits = RECV
    entry = sample(samples, (OUTER, CALL), 100.1)
    assert (entry.state, entry.waiting) == ("waiting", RECV)


def test_thread_that_wants_the_gil_waits_for_nothing_outside(
    samples: Samples, thread: Thread
) -> None:
    """It has just released it to the sampler."""
    thread.waits, thread.cpu = GIL, 0.09
    assert sample(samples, (OUTER, CALL), 100.1).state == "running"


def test_suspended_task_waits(samples: Samples) -> None:
    """No thread runs it."""
    assert sample(samples, (OUTER,), 100.1, thread=None).state == "waiting"


def test_time_at_the_start_of_a_frame_is_the_callers(samples: Samples, thread: Thread) -> None:
    """A frame that has only just begun has used no time."""
    thread.cpu = 0.05
    assert sample(samples, (OUTER, START), 100.05).key == (OUTER,)


def test_equal_samples_are_one_entry(samples: Samples, thread: Thread) -> None:
    """A request that is stuck for an hour takes no more memory than a short one."""
    thread.waits = LOCK
    for turn in range(1, 1000):
        sample(samples, (OUTER, CALL), 100 + turn * 0.05)
    assert len(samples.entries) == 1
    assert samples.entries[0].weight == pytest.approx(999 * 0.05)
    assert samples.taken == 999


def test_time_after_the_last_sample_is_unsampled(samples: Samples, thread: Thread) -> None:
    """A request that ends after a long call has that time in its graph, without a frame."""
    thread.cpu = 0.05
    sample(samples, (OUTER,), 100.05)
    samples.end(103.05, 0.05)
    last = samples.entries[-1]
    assert (last.state, last.key, last.weight) == (UNSAMPLED, (), pytest.approx(3.0))
    assert samples.duration == pytest.approx(3.05)


def test_short_time_after_the_last_sample_is_left_out(samples: Samples, thread: Thread) -> None:
    """It is neither unsampled nor attributed: the graph covers less than the request."""
    thread.cpu = 0.05
    sample(samples, (OUTER,), 100.05)
    samples.end(100.08, 0.05)
    assert len(samples.entries) == 1
    assert samples.duration == pytest.approx(0.05)


def test_samples_of_the_watchdog_come_first(samples: Samples) -> None:
    """Those from before the sampling began cover the request's beginning."""
    stack = (Frame("/app/views.py", 7, "view"),)
    samples.seed([Sample(0.25, stack, SLEEP), Sample(0.5, stack, RUNNING), Sample(0.9, stack, GIL)])
    assert [(each.state, round(each.weight, 2)) for each in samples.entries] == [
        ("waiting", 0.25),
        ("running", 0.65),
    ]
    assert samples.duration == pytest.approx(0.9)


def test_samples_are_thinned_out_when_there_are_very_many(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second one, then every fourth: an endless request needs little memory."""
    monkeypatch.setattr(module, "HALVED_AFTER", 2)
    entry = Entry(1.0, 1.0, (OUTER,), "running")
    wanted = []
    for count in (0, 2, 4):
        samples.entries[:] = [entry] * count
        wanted.append(sum(samples.wanted() for _ in range(8)))
    assert wanted == [8, 4, 2]


given_samples = st.lists(
    st.tuples(
        st.floats(0.001, 3.0),  # since the last sample
        st.floats(0.0, 1.0),  # of that, CPU time of its thread
        st.floats(0.0, 1.0),  # and waiting for a CPU
        st.sampled_from([CALL, TURN, START, EXPANDED, OUTER]),
        st.sampled_from([RUNNING, GIL, None, SLEEP, LOCK]),
        st.sampled_from([THREAD, THREAD + 1, None]),
        st.booleans(),  # late
    ),
    max_size=30,
)


@given(given_samples)
# A thread that had no CPU at all between two samples: no time is left in which it ran.
@example(
    [(1.0, 0.0, 0.0, CALL, RUNNING, THREAD, False), (1.0, 0.0, 1.0, CALL, RUNNING, THREAD, False)]
)
def test_weights_always_add_up_to_the_time(given: list[tuple]) -> None:
    """For all samples: no second is lost, and none is attributed twice."""
    kernel = Thread()
    samples = Samples(
        50.0, 60.0, lambda _: kernel.cpu, lambda _: kernel.waits, lambda _: kernel.queued
    )
    now = 60.0
    for gap, cpu, queued, item, waits, thread, late in given:
        now += gap
        kernel.cpu += gap * cpu
        kernel.queued += gap * queued
        kernel.waits = waits
        held = gap * 0.9 if late else 0.0
        sample(samples, (OUTER, item), now, thread, late=held, held=held, others=gap * cpu)
    samples.end(now + 1.0, 0.05)
    assert sum(each.weight for each in samples.entries) == pytest.approx(samples.duration)
    assert all(each.weight > 0 for each in samples.entries)
    assert samples.duration == pytest.approx(now + 1.0 - 60.0)
