"""Threads that wait for locks, and the threads that hold them."""

from __future__ import annotations

import contextlib
import functools
import gc
import queue
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from slowhound.runtime.attributes import UnknownError, attribute
from slowhound.system.thread_state import waiting_for
from slowhound.watch import deadlocks as locks
from slowhound.watch.deadlocks import BY_PYTHON, BY_WITH, Wait, cycles, deadlocks, waits

touched: list[str] = []
GLOBAL = threading.Lock()


class Shop:
    """An application of which nothing may be called while its stacks are read."""

    __slots__ = ("__private", "__weakref__", "plain", "slot")

    def __init__(self) -> None:
        self.plain = threading.Lock()
        self.slot = threading.RLock()
        self.__private = threading.Lock()

    @property
    def shown(self) -> Any:
        if threading.current_thread() is threading.main_thread():
            touched.append("property")
        return self.plain

    def __getattr__(self, name: str) -> Any:
        if threading.current_thread() is threading.main_thread():
            touched.append(name)
        return object.__getattribute__(self, "plain")

    def take_private(self) -> None:
        with self.__private:
            pass

    def hold_private(self, inside: Callable[[], Any]) -> None:
        with self.__private:
            inside()


class Stage:
    """Threads that hold locks and wait for them until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []
        self.started: dict[int, int] = {}

    def start(self, target: Callable[..., Any], *args: Any) -> int:
        """Starts a thread and returns its ident."""

        def run() -> None:
            # A deadlock ends when the test releases a lock that a with block will release, too.
            with contextlib.suppress(RuntimeError):
                target(*args)

        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()
        assert thread.ident is not None
        self.started[thread.ident] = thread.native_id or 0
        return thread.ident

    def hold(self, lock: Any) -> int:
        """A thread that holds ``lock`` by a with block."""
        held = threading.Event()

        def holder() -> None:
            with lock:
                held.set()
                self.over.wait()

        ident = self.start(holder)
        held.wait()
        return ident

    def join(self) -> None:
        """Waits for the end of all threads."""
        for thread in self.threads:
            thread.join()

    def waits_of(self, *idents: int) -> dict[int, Wait]:
        """What is seen once these threads wait."""
        until(lambda: all(str(waiting_for(self.started[each])) == "a lock" for each in idents))
        return waits(sys._current_frames())


def until(true: Callable[[], Any]) -> None:
    """Returns when it is true; the test's own time limit ends a wait that never succeeds."""
    pause = threading.Event()
    while not true():
        pause.wait(0.002)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage whose threads all end with the test."""
    touched.clear()
    made = Stage()
    yield made
    made.over.set()


def enter(lock: Any) -> None:
    with lock:
        pass


def acquire(lock: Any) -> None:
    lock.acquire()
    lock.release()


def enter_second(first: Any, lock: Any) -> None:
    with first, lock:
        pass


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


def test_slots_and_private_names_are_found(stage: Stage) -> None:
    """Also attributes in slots, and those whose names begin with two underscores."""
    shop = Shop()

    def waits_for_slot() -> None:
        with shop.slot:
            pass

    private = stage.start(shop.hold_private, stage.over.wait)
    until(lambda: str(waiting_for(stage.started[private])) == "a lock")
    slot = stage.hold(shop.slot)
    first, second = stage.start(waits_for_slot), stage.start(shop.take_private)
    found = stage.waits_of(first, second)
    assert (found[first].owner, found[first].lock) == (slot, "RLock shop.slot")
    assert (found[second].owner, found[second].lock) == (private, "lock self.__private")


def test_no_property_is_run(stage: Stage) -> None:
    """What cannot be known without the application's code stays unknown."""
    shop = Shop()

    def by_property() -> None:
        with shop.shown:
            pass

    def by_getattr() -> None:
        with shop.missing:
            pass

    stage.hold(shop.plain)
    idents = [stage.start(by_property), stage.start(by_getattr)]
    found = stage.waits_of(*idents)
    assert touched == []
    assert not found.keys() & set(idents)


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


def test_names_of_a_frame_stay_what_they_are(stage: Stage) -> None:
    """A dict that the application got from locals() is not refreshed under its hands."""
    lock, seen = threading.Lock(), []

    def holder() -> None:
        name = "own"
        mine = locals()
        mine["name"] = "changed"
        with lock:
            stage.over.wait()
        seen.append((mine["name"], name))

    stage.start(holder)
    until(lock.locked)
    waiter = stage.start(enter, lock)
    stage.waits_of(waiter)
    stage.over.set()
    stage.join()
    assert seen == [("changed", "own")]


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


class Meta(type):
    """Of classes none of whose methods may be called."""

    def __subclasscheck__(cls, other: type) -> bool:
        touched.append("metaclass")
        return True

    __instancecheck__ = __subclasscheck__  # type: ignore[assignment]
    covered = property(lambda cls: touched.append("property"))

    def __eq__(cls, other: object) -> bool:
        touched.append("metaclass")
        return cls is other

    def __hash__(cls) -> int:
        touched.append("metaclass")
        return 1


class Kept(metaclass=Meta):
    """Attributes of an instance and its class, each of them a lock."""

    __slots__ = ("__dict__", "slot")
    shared = threading.RLock()
    covered = threading.RLock()  # type: ignore[assignment]

    @functools.cached_property
    def cached(self) -> Any:
        return threading.RLock()

    def __init__(self) -> None:
        self.slot, self.own = threading.RLock(), threading.RLock()
        self.cached  # noqa: B018


def enter_attributes(kept: Kept, name: str) -> None:
    if name == "slot":
        with kept.slot:
            pass
    elif name == "own":
        with kept.own:
            pass
    elif name == "cached":
        with kept.cached:
            pass
    elif name == "shared":
        with kept.shared:
            pass
    else:
        with Kept.shared:
            pass


@pytest.mark.parametrize("name", ["slot", "own", "cached", "shared", "class"])
def test_attributes_are_found_without_their_class(stage: Stage, name: str) -> None:
    """Slots, attributes, cached properties and a class's own are read; no metaclass is called."""
    kept = Kept()
    holder = stage.hold(getattr(kept, name.replace("class", "shared")))
    waiter = stage.start(enter_attributes, kept, name)
    stage.waits_of(waiter)
    touched.clear()
    found = stage.waits_of(waiter)
    assert touched == []
    assert found[waiter].owner == holder


class Covered:
    """Attributes that are hidden by something of the class's own."""

    shown = property(lambda self: touched.append("property"))
    __slots__ = ("__dict__", "empty")


class Odd:
    """Has no attributes but those that it makes up."""

    __dict__ = property(lambda self: touched.append("dict"))  # type: ignore[assignment]


def test_attribute_that_needs_code_is_unknown(stage: Stage) -> None:
    """Properties, empty slots and an odd ``__dict__`` are left alone."""
    covered = Covered()
    covered.__dict__["shown"] = 1
    for thing, name in (
        (covered, "shown"),
        (covered, "empty"),
        (Covered, "shown"),
        (Covered, "empty"),
        (Kept, "covered"),
        (Covered, "__name__"),
        (covered, "missing"),
        (Odd(), "missing"),
        (object(), "missing"),
    ):
        with pytest.raises(UnknownError):
            attribute(thing, name)
    assert attribute(threading, "_active") is threading._active  # type: ignore[attr-defined]
    assert touched == []


class Globals(dict[str, Any]):
    """A namespace for exec that records when it is read."""

    def __contains__(self, key: object) -> bool:
        touched.append("contains")
        return super().__contains__(key)

    def __getitem__(self, key: str) -> Any:
        touched.append("item")
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        touched.append("get")
        return super().get(key, default)


def test_namespaces_of_one_s_own_are_not_called(stage: Stage, tmp_path: Path) -> None:
    """What ``exec`` was given for globals is read as the dict that it is."""
    source = tmp_path / "own.py"
    source.write_text("def f():\n    with lock:\n        pass\n")
    names = Globals(lock=threading.RLock())
    exec(compile(source.read_text(), str(source), "exec"), names)
    holder = stage.hold(dict.__getitem__(names, "lock"))
    waiter = stage.start(dict.__getitem__(names, "f"))
    stage.waits_of(waiter)
    touched.clear()
    assert stage.waits_of(waiter)[waiter].owner == holder
    assert touched == []
