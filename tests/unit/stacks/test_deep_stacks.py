"""Deep stacks: each frame costs the same, and both ends of the stack are kept."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given
from hypothesis import strategies as st

from slowhound.core.record import Record
from slowhound.flames.sampling import merge_external, stack_keys
from slowhound.frames import frames
from slowhound.frames.frames import CUT_FRAMES, INNERMOST, OUTERMOST
from slowhound.stacks import asyncio_tasks, capture
from slowhound.watch import deadlocks
from slowhound.watch import locals as shown
from tests.harness.waiting import eventually


class Deep:
    """A thread so many calls deep, or a task that waits for it."""

    def __init__(self, calls: int, *, by_task: bool = False) -> None:
        self.begun, self.ends = threading.Event(), threading.Event()
        self.task: Any = None
        run = self._asynchronously if by_task else self.outermost
        self.thread = threading.Thread(target=run, args=(calls,))
        self.thread.start()
        assert self.begun.wait(30)

    def _asynchronously(self, calls: int) -> None:
        async def main() -> None:
            self.task = asyncio.current_task()
            await sync_to_async(self.outermost, thread_sensitive=False)(calls)

        asyncio.run(main())

    def outermost(self, calls: int) -> None:
        self.deeper(calls)

    def deeper(self, calls: int) -> None:
        if calls:
            self.deeper(calls - 1)
        else:
            self.innermost()

    def innermost(self) -> None:
        self.begun.set()
        self.ends.wait(60)

    @property
    def record(self) -> Record:
        record = Record("GET", "/", 0.0)
        record.thread_id = self.thread.ident or 0
        if self.task is not None:
            record.task = lambda: self.task
            # Its thread may work before the task waits for that.
            eventually(lambda: self._is_seen(record), "the task waits for its thread")
        return record

    @staticmethod
    def _is_seen(record: Record) -> bool:
        found = capture.capture_stack(record)
        return found is not None and "innermost" in [frame.function for frame in found.stack[-4:]]

    def close(self) -> None:
        self.ends.set()
        self.thread.join()


@pytest.fixture
def deep() -> Iterator[Callable[..., Deep]]:
    """Makes them; they end with the test."""
    made: list[Deep] = []
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)

    def make(calls: int, *, by_task: bool = False) -> Deep:
        made.append(Deep(calls, by_task=by_task))
        return made[-1]

    yield make
    for each in made:
        each.close()
    sys.setrecursionlimit(limit)


def steps(function: Callable[..., object], *args: object) -> int:
    """How many calls it makes."""
    count = 0

    def counts(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counts)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return count


WAYS = [capture.capture_stack, stack_keys.sample_stack]


@pytest.mark.parametrize("capture_way", WAYS, ids=["stack", "key"])
@pytest.mark.parametrize("by_task", [False, True], ids=["thread", "task"])
def test_four_times_the_frames_cost_four_times_as_much(
    deep: Callable[..., Deep], capture_way: Any, by_task: bool
) -> None:
    """Once it was quadratic: 8 ms at 225 frames, 132 ms at 900."""
    few, many = deep(200, by_task=by_task).record, deep(800, by_task=by_task).record
    capture_way(few)  # what is done once only
    assert steps(capture_way, many) <= 4 * steps(capture_way, few)


@pytest.mark.parametrize("by_task", [False, True], ids=["thread", "task"])
def test_innermost_and_outermost_frames_of_a_deep_stack_are_kept(
    deep: Callable[..., Deep], by_task: bool
) -> None:
    """A stack of 5,000 frames had none."""
    record = deep(5_000, by_task=by_task).record
    found = capture.capture_stack(record)
    assert found is not None
    names = [frame.function for frame in found.stack]
    assert OUTERMOST + INNERMOST < len(names) <= OUTERMOST + INNERMOST + 2
    assert "outermost" in names[:OUTERMOST]
    assert names.index(CUT_FRAMES.function) == OUTERMOST
    assert names[-3:] == ["innermost", "wait", "wait"]
    seen = stack_keys.sample_stack(record)
    assert seen is not None
    assert len(seen.key) == len(names)
    assert (CUT_FRAMES, 0) in seen.key


def test_of_a_stack_that_is_too_deep_to_be_walked_the_innermost_frames_are_known(
    deep: Callable[..., Deep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that only come next are not called the outermost."""
    monkeypatch.setattr(frames, "WALKED", 2_000)
    found = capture.capture_stack(deep(3_000).record)
    assert found is not None
    assert found.stack[0] == CUT_FRAMES
    assert len(found.stack) == INNERMOST + 1
    assert found.stack[-3].function == "innermost"


@pytest.mark.parametrize("more", range(-2, 3))
def test_no_frame_is_lost_or_doubled_at_the_limits(more: int) -> None:
    """Around the number of frames that are all kept."""
    whole = OUTERMOST + INNERMOST
    here = len(frames.outwards(sys._getframe()))
    seen: list[list[int]] = []

    def go(left: int) -> None:
        if left:
            go(left - 1)
        else:
            walked = frames.walk(sys._getframe(), "f_lineno", "f_locals")
            seen.append([each[1].get("left", -1) if each else -2 for each in walked])

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        calls = whole + more - here
        go(calls - 1)
    finally:
        sys.setrecursionlimit(limit)
    (found,) = seen
    assert found[:INNERMOST] == list(range(INNERMOST))
    rest = list(range(INNERMOST, calls))
    if more > 0:
        rest = [-2, *rest[more:]]
    assert found[INNERMOST : INNERMOST + len(rest)] == rest
    assert len(found) == min(whole + more, whole) + (more > 0)


def test_long_chain_of_awaits_is_followed_to_its_end() -> None:
    """The innermost line is what is wanted, and 400 awaits were the most."""

    async def main() -> tuple[Any, ...]:
        async def deeper(left: int) -> None:
            if left:
                await deeper(left - 1)
            else:
                await asyncio.sleep(60)

        task = asyncio.ensure_future(deeper(600))
        await asyncio.sleep(0)
        found = await asyncio.to_thread(asyncio_tasks.stack, task, threading.get_ident())
        task.cancel()
        return found

    stack = asyncio.run(main())[0]
    assert [frame.function for frame in stack] == ["deeper"] * 601 + ["sleep"]


def naive(names: list[str], mine: list[str]) -> list[int]:
    """For each place, how many are alike."""
    found = []
    for place in range(len(names)):
        alike = [a == b for a, b in zip(names[place:], mine, strict=False)]
        found.append((*alike, False).index(False))
    return found


words = st.lists(st.sampled_from("ab"), max_size=12)


@given(words, words)
def test_place_of_a_stack_that_was_read_from_outside(names: Any, mine: Any) -> None:
    """Each place is found."""
    assert merge_external._match_lengths(names, mine) == naive(names, mine)


def test_place_in_a_deep_recursion_is_found_by_one_comparison_of_each_frame() -> None:
    """All of its frames have the same name."""
    compared = 0

    class Name(tuple[str, str]):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return type(other) is Name

        __hash__ = tuple.__hash__

    names = [Name(("a.py", "go"))] * 1_000
    assert merge_external._match_lengths(names, names[:500])[0] == 500
    assert compared <= 2 * 1_500


def test_holder_of_a_lock_that_many_wait_for_is_searched_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also that of an RLock: its whole stack is gone through for it."""
    searched: list[object] = []
    held = deadlocks._held

    def counts(lock: object, frame: Any) -> Any:
        searched.append(lock)
        return held(lock, frame)

    monkeypatch.setattr(deadlocks, "_held", counts)
    lock = threading.RLock()

    def waits() -> None:
        with lock:
            pass

    threads = [threading.Thread(target=waits) for _ in range(5)]
    with lock:
        for each in threads:
            each.start()

        def waiting() -> int:
            searched.clear()
            me = threading.get_ident()
            return sum(
                each.owner == me and each.thread in {thread.ident for thread in threads}
                for each in deadlocks.waits(frames.current_frames()).values()
            )

        eventually(lambda: waiting() == 5, "all wait for the lock")
        assert searched.count(lock) == 1
    for each in threads:
        each.join()


def test_variables_of_a_stack_that_is_not_known_to_its_end_are_hidden(
    deep: Callable[..., Deep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame further out may declare them sensitive."""
    monkeypatch.setattr(shown, "WALKED", 100)
    thread = deep(100)
    frame = frames.current_frames()[thread.thread.ident or 0]
    for _, variables in shown.locals_of(frame, None):
        assert {text for _, text in variables} == {shown.MASK}
