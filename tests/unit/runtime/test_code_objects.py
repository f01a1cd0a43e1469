"""Code objects are distinguished by identity, and nothing in them runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

import pytest

from slowhound.core.record import Record
from slowhound.flames.sampling import annotate, merge_external, stack_keys
from slowhound.flames.sampling.attribution import Entry, Samples
from slowhound.flames.sampling.symbolize import profile_of
from slowhound.frames import frames
from slowhound.instrument import callers
from slowhound.instrument.exception import fields_of
from slowhound.runtime.code_objects import know, known
from slowhound.runtime.foreign import is_foreign
from slowhound.stacks import capture
from slowhound.watch import deadlocks, source_places
from slowhound.watch import locals as shown
from slowhound.watch.hound import Hound, Task
from tests.harness.waiting import eventually

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_of_it_runs() -> Iterator[None]:
    """Each test fails when code of the classes below has run."""
    ran.clear()
    yield
    assert ran == []


def runs(name: str) -> Any:
    def method(*_: object) -> Any:
        ran.append(name)
        raise SystemExit(name)

    return method


class Text(str):
    """A name whose every method ends the thread that calls it."""

    __slots__ = ()


for method in dir(str):
    # What makes one, and what `type()` and the collector need, is not called by us.
    if method not in ("__new__", "__class__", "__init__", "__init_subclass__", "__getattribute__"):
        setattr(Text, method, runs(method))


class Constant:
    """Among the constants of a function."""

    __eq__ = runs("__eq__")
    __hash__ = runs("__hash__")


def hostile(function: Callable[..., Any], file: str = "/srv/shop/views.py") -> Callable[..., Any]:
    """The function with such names, and such a constant."""
    code = function.__code__
    function.__code__ = code.replace(
        co_filename=Text(file),
        co_name=Text(code.co_name),
        co_qualname=Text(code.co_qualname),
        co_consts=(*code.co_consts, Constant(), []),
    )
    return function


class Stands:
    """A thread that stands in hostile functions."""

    def __init__(self) -> None:
        self.begun, self.ends, self.lock = threading.Event(), threading.Event(), threading.Lock()

        def view(request: object) -> None:
            with self.lock:
                inner(request)

        def inner(argument: object) -> None:
            self.begun.set()
            self.ends.wait(30)

        hostile(inner)
        self.thread = threading.Thread(target=hostile(view), args=(object(),))
        self.thread.start()
        assert self.begun.wait(30)
        self.record = Record("GET", "/", 0.0)
        self.record.thread_id = self.thread.ident or 0

    @property
    def frame(self) -> FrameType:
        return frames.current_frames()[self.record.thread_id]


@pytest.fixture
def stands() -> Iterator[Stands]:
    """It goes on when the test ends."""
    made = Stands()
    yield made
    made.ends.set()
    made.thread.join()


def made_of(key: stack_keys.Key) -> Any:
    samples = Samples(0.0, 0.0, lambda _: None, lambda _: None, lambda _: 0.0)
    samples.entries = [Entry(1.0, 1.0, key, "running")]
    samples.last = 1.0
    merge_external.merge_into(samples, [])
    return profile_of(Record("GET", "/", 0.0), samples, 0.05, {}, 0.0)


@pytest.fixture(autouse=True)
def middleware_is_read_again() -> Iterator[None]:
    """Another test may be the first to import it."""
    yield
    annotate._configured.cache_clear()


def test_names_of_a_class_of_the_applications_become_plain_ones(stands: Stands) -> None:
    """A str subclass as the name of a file or a function runs nothing in the hound."""
    captured = capture.capture_stack(stands.record)
    assert captured is not None
    assert {
        type(name) for frame in captured.stack for name in (frame.filename, frame.function)
    } == {str}
    assert [frame.function for frame in captured.stack][-4:-2] == ["view", "inner"]
    place = frames.innermost(captured.stack)
    assert place is not None
    assert place.filename == "/srv/shop/views.py"
    assert "/srv/shop/views.py" in frames.render(captured.stack)
    assert callers.place(stands.frame, None, stands.record) == str(place)


def test_profile_of_such_functions_is_made(stands: Stands) -> None:
    """Keys are hashed, compared, and given names at the end."""
    first, second = stack_keys.sample_stack(stands.record), stack_keys.sample_stack(stands.record)
    assert first is not None
    assert second is not None
    assert first == second
    assert {first.key: 1}[second.key] == 1
    assert [merge_external._name(item) for item in first.key]
    assert not stack_keys.has_just_begun(first.key[-1])
    profile = made_of(first.key)
    assert {type(frame.name) for frame in profile.frames} == {str}
    assert "test_codes" not in [frame.file for frame in profile.frames]


def test_locks_and_variables_of_such_functions_are_read(stands: Stands) -> None:
    """Who waits for what, and what is in their variables."""
    deadlocks.deadlocks(frames.current_frames())
    deadlocks._held(stands.lock, stands.frame)
    list(source_places.held(stands.frame))
    functions = [name for name, _ in shown.locals_of(stands.frame, None)]
    assert functions[-2:] == ["view", "inner"]
    assert {type(name) for name in functions} == {str}


def test_exception_of_such_a_function_is_told() -> None:
    """Its place, and whose it is."""

    def fails() -> None:
        raise ValueError("it says")

    hostile(fails)
    with pytest.raises(ValueError, match="it says") as raised:
        fails()
    assert not is_foreign(raised.value)
    assert fields_of(raised.value)["exc_cause_loc"].endswith(":fails")


def twins() -> tuple[CodeType, CodeType]:
    """Code that is equal, of two files."""
    first, second = (compile("def f():\n    pass", file, "exec") for file in ("/a.py", "/b.py"))
    one, other = (each.co_consts[0] for each in (first, second))
    return one, other


def test_equal_functions_of_two_files_are_not_mixed() -> None:
    """Their time is attributed to each, under its own file."""
    one, other = twins()
    assert one == other  # whatever their files
    assert know(one) is know(one)
    assert know(one) is not know(other)
    assert know(one) != know(other)
    profiles = [made_of(((know(each), 0),)) for each in (one, other)]
    assert [profile.frames[0].file for profile in profiles] == ["/a.py", "/b.py"]
    samples = Samples(0.0, 0.0, lambda _: None, lambda _: None, lambda _: 0.0)
    samples.entries = [
        Entry(1.0, 1.0, ((know(one), 0),), "running"),
        Entry(2.0, 1.0, ((know(other), 0),), "running"),
    ]
    samples.last = 2.0
    both = profile_of(Record("GET", "/", 0.0), samples, 0.05, {}, 0.0)
    assert [frame.file for frame in both.frames] == ["/a.py", "/b.py"]


def test_code_that_is_gone_is_not_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for one keeps it, so that its id is nobody else's."""
    monkeypatch.setattr("slowhound.runtime.code_objects.MOST_KNOWN", 50)
    found = [know(twins()[0]) for _ in range(200)]
    assert len({id(each.code) for each in found}) == 200
    assert all(each.code is each.code for number, each in enumerate(found))
    assert len(known) <= 50


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_hound_outlives_what_ends_other_threads(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were there a way to raise SystemExit in it, requests would go on without their watch."""
    monkeypatch.setattr("slowhound.system.guard.loud", False)
    scans: list[float] = []

    def scan(now: float) -> float:
        scans.append(now)
        raise kind

    def task() -> None:
        raise kind

    turn = SimpleNamespace(tick=0.01, scan=scan, asleep=lambda _: None, awake=lambda: None)
    hound = Hound(turn, [Task("task", task)])
    hound.start()
    eventually(lambda: len(scans) >= 3, "it goes on")
    assert hound.alive()
    hound.stop()
    assert sys.exc_info() == (None, None, None)
