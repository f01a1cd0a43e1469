"""Threads that wait for locks, and the threads that hold them."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from slowhound.runtime.attributes import UnknownError
from slowhound.watch import deadlocks as locks
from slowhound.watch.deadlocks import BY_PYTHON, BY_WITH, waits
from tests.unit.watch.lock_stage import Stage, acquire, enter, enter_second

GLOBAL = threading.Lock()


@pytest.mark.parametrize("wait", [enter, acquire])
@pytest.mark.parametrize(
    ("make", "known", "kind"),
    [
        (threading.Lock, BY_WITH, "lock"),
        (threading.RLock, BY_PYTHON, "RLock"),
        (threading._RLock, BY_PYTHON, "_RLock"),  # type: ignore[attr-defined]
        (threading.Condition, BY_PYTHON, "Condition"),
        (lambda: threading.Condition(threading.Lock()), BY_WITH, "Condition"),
    ],
)
def test_holder_of_a_lock_is_known(
    stage: Stage, wait: Callable[[Any], None], make: Callable[[], Any], known: str, kind: str
) -> None:
    """The result has the waiting thread, the lock, its holder, and how the holder is known."""
    lock = make()
    holder = stage.hold(lock)
    waiter = stage.start(wait, lock)
    found = stage.waits_of(waiter)[waiter]
    assert (found.owner, found.known) == (holder, known)
    assert found.lock == f"{kind} lock"
    assert found.at.function == wait.__name__
    assert found.held_at is not None
    assert found.held_at.function == "holder"
    assert found.held_at.source == "with lock:"
    assert f"held by thread {holder}" in str(found)


def test_lock_taken_by_acquire_has_no_owner(stage: Stage) -> None:
    """Whose a plain lock is that was taken without a with block is not known, nor guessed."""
    lock = threading.Lock()
    lock.acquire()
    waiter = stage.start(enter, lock)
    found = stage.waits_of(waiter)[waiter]
    assert (found.lock, found.owner, found.known) == ("lock lock", None, "")
    lock.release()


def test_global_lock_is_found(stage: Stage) -> None:
    """A name that is no variable of the function is found in its module."""

    def waits_for_global() -> None:
        with GLOBAL:
            pass

    holder = stage.hold(GLOBAL)
    waiter = stage.start(waits_for_global)
    assert stage.waits_of(waiter)[waiter].owner == holder


def test_item_of_a_with_statement_is_told_apart(stage: Stage) -> None:
    """Of ``with a, b`` it is b that is waited for, and a that is held."""
    first, second = threading.Lock(), threading.Lock()
    holder = stage.hold(second)
    waiter = stage.start(enter_second, first, second)
    stage.waits_of(waiter)
    third = stage.start(enter, first)
    found = stage.waits_of(waiter, third)
    assert (found[waiter].lock, found[waiter].owner) == ("lock lock", holder)
    assert (found[third].owner, found[third].known) == (waiter, BY_WITH)


def test_condition_gives_its_lock_back_while_it_waits(stage: Stage) -> None:
    """A thread that waits for a notification does not hold the condition's lock."""
    condition = threading.Condition(threading.Lock())

    def wait() -> None:
        with condition:
            condition.wait()

    waiter = stage.start(wait)
    stage.waits_of(waiter)
    assert locks._held(condition._lock, sys._current_frames()[waiter]) is None  # type: ignore[attr-defined]
    holder = stage.hold(condition)
    third = stage.start(enter, condition)
    found = stage.waits_of(waiter, third)
    assert (found[waiter].lock, found[waiter].owner) == ("Condition condition", None)
    assert found[third].owner == holder


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (lambda thing: thing.get(), queue.Queue),
        (lambda thing: thing.wait(), threading.Event),
        (lambda thing: thing.acquire(), lambda: threading.Semaphore(0)),
        (lambda thing: thing.result(), Future),
    ],
)
def test_wrappers_are_named_by_what_the_application_wrote(
    stage: Stage, method: Callable[[Any], Any], kind: Callable[[], Any]
) -> None:
    """The application sees its queue, event, semaphore or future, not the lock within."""
    thing = kind()
    waiter = stage.start(method, thing)
    found = stage.waits_of(waiter)[waiter]
    assert (found.lock, found.owner) == (f"{type(thing).__name__} thing", None)
    assert found.at.filename == __file__


def test_full_queue_is_waited_for(stage: Stage) -> None:
    """A put into a full queue is a wait, too."""
    full: queue.Queue[int] = queue.Queue(1)
    full.put(1)
    waiter = stage.start(lambda: full.put(2))
    assert stage.waits_of(waiter)[waiter].lock == "Queue full"


def test_threads_that_wait_for_nothing_are_left_out(stage: Stage) -> None:
    """Neither a holder that computes nor the calling thread is waiting."""
    assert threading.get_ident() not in waits(sys._current_frames())
    running = threading.Event()

    def computes() -> None:
        while not stage.over.is_set():
            running.set()

    ident = stage.start(computes)
    running.wait()
    assert ident not in waits(sys._current_frames())


def test_source_that_is_not_there_is_no_failure(stage: Stage) -> None:
    """Code without a file is not understood, and that is all."""
    names: dict[str, Any] = {"lock": threading.Lock()}
    code = compile("def f():\n    with lock:\n        pass\n", "/nowhere/at/all.py", "exec")
    exec(code, names)
    stage.hold(names["lock"])
    waiter = stage.start(names["f"])
    assert waiter not in stage.waits_of(waiter)


def test_source_that_was_replaced_is_no_failure(stage: Stage, tmp_path: Any) -> None:
    """A file that is no longer what runs, and no Python, is not understood."""
    source = tmp_path / "old.py"
    text = "def old():\n    with lock:\n        pass\n"
    source.write_text(text.replace("with", "within some"))
    names: dict[str, Any] = {"lock": threading.Lock()}
    exec(compile(text, str(source), "exec"), names)
    stage.hold(names["lock"])
    waiter = stage.start(names["old"])
    assert waiter not in stage.waits_of(waiter)


def test_lock_of_one_s_own_is_not_waited_for() -> None:
    """A thread that has just got a lock may still stand at the call that took it."""
    own = threading.get_ident()
    lock = threading.RLock()
    with lock, pytest.raises(UnknownError):
        locks._holder(lock, own, {}, {})
    with pytest.raises(UnknownError):
        locks._holder(lock, own, {}, {})
    with lock:
        assert locks._holder(lock, own + 1, {}, {}) == (own, None)


def test_odd_escapes_cause_no_warning(stage: Stage, tmp_path: Any) -> None:
    """The source is parsed without a word on the application's stderr, and still understood."""
    source = tmp_path / "odd.py"
    source.write_text('def f():\n    a = "\\\\d \\d \\""; b = "ü"; \\\n    lock.acquire()\n')
    names: dict[str, Any] = {"lock": threading.Lock()}
    with pytest.warns((DeprecationWarning, SyntaxWarning)):
        code = compile(source.read_text(), str(source), "exec")
    exec(code, names)
    holder = stage.hold(names["lock"])
    waiter = stage.start(names["f"])
    assert stage.waits_of(waiter)[waiter].owner == holder
