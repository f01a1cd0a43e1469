"""Deadlocks: cycles of threads that wait for each other."""

from __future__ import annotations

import gc
import sys
import threading
import weakref

from slowhound.watch import deadlocks as locks
from slowhound.watch.deadlocks import BY_PYTHON, BY_WITH, Wait, cycles, deadlocks, waits
from tests.unit.watch.lock_stage import Stage, acquire, enter, until


def test_deadlock_of_two_is_found(stage: Stage) -> None:
    """Two threads that take two locks in different order are found, and each says where."""
    one, two, barrier = threading.Lock(), threading.RLock(), threading.Barrier(2)

    def forth() -> None:
        with one:
            barrier.wait()
            acquire(two)

    def back() -> None:
        with two:
            barrier.wait()
            with one:
                pass

    first, second = stage.start(forth), stage.start(back)
    stage.waits_of(first, second)
    until(lambda: deadlocks(sys._current_frames()))
    (found,) = deadlocks(sys._current_frames())
    by_thread = {each.thread: each for each in found}
    assert by_thread.keys() == {first, second}
    assert (by_thread[first].owner, by_thread[first].known) == (second, BY_PYTHON)
    assert (by_thread[second].owner, by_thread[second].known) == (first, BY_WITH)
    assert by_thread[first].at.function == "acquire"
    assert by_thread[first].held_at is not None
    assert by_thread[first].held_at.function == "back"
    assert by_thread[second].lock == "lock one"
    one.release()
    stage.join()


def test_join_of_a_thread_that_waits_for_us_is_a_deadlock(stage: Stage) -> None:
    """A thread that joins another one waits for it like for a lock."""
    lock = threading.Lock()
    inner = threading.Thread(target=enter, args=(lock,), daemon=True)

    def joins() -> None:
        with lock:
            inner.start()
            inner.join()

    waiter = stage.start(joins)
    until(lambda: deadlocks(sys._current_frames()))
    (found,) = deadlocks(sys._current_frames())
    assert {each.thread for each in found} == {waiter, inner.ident}
    assert {each.lock for each in found} == {"Thread inner", "lock lock"}
    lock.release()
    stage.join()


def test_own_plain_lock_is_a_deadlock_of_one(stage: Stage) -> None:
    """A thread that takes a plain lock twice waits for itself."""
    lock = threading.Lock()

    def twice() -> None:
        with lock:
            lock.acquire()

    waiter = stage.start(twice)
    stage.waits_of(waiter)
    ((found,),) = deadlocks(sys._current_frames())
    assert (found.thread, found.owner) == (waiter, waiter)
    lock.release()
    stage.join()


def test_cycle_is_found_once_with_threads_that_wait_for_it() -> None:
    """Threads that wait for a cycle are no part of it."""
    at = locks.Frame("/srv/shop/views.py", 1, "f")
    chain = {each: Wait(each, "lock x", at, owner) for each, owner in ((1, 2), (2, 3), (3, 2))}
    (found,) = cycles(chain)
    assert {each.thread for each in found} == {2, 3}
    assert cycles({1: Wait(1, "lock x", at, 2), 2: Wait(2, "lock x", at, None)}) == []


def test_nothing_is_kept_alive(stage: Stage) -> None:
    """No frame, and so no variable of a request, outlives the call."""
    lock, go = threading.Lock(), threading.Event()

    class Big:
        pass

    gone = []

    def holder() -> None:
        big = Big()
        gone.append(weakref.ref(big))
        with lock:
            go.wait()

    first = stage.start(holder)
    until(lambda: gone and lock.locked())
    second = stage.start(enter, lock)
    stage.waits_of(first, second)
    gc.disable()
    try:
        found = waits(sys._current_frames())
        assert found[second].owner == first
        deadlocks(sys._current_frames())
        go.set()
        stage.join()
        assert gone[0]() is None
    finally:
        gc.enable()
