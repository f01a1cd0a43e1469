"""Starting the recorder calls code of the application, which may do anything."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import slowhound
from slowhound.config.from_django import get_config
from slowhound.instrument import registry
from slowhound.recorder import process
from slowhound.testing import capture_events

TIMEOUT = 20


@slowhound.task
def job() -> str:
    """Begins a record, which starts the recorder."""
    return "done"


@pytest.fixture
def at_start() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Has a function called during the start, as an instrumenter's ``setup``."""

    def add(what: Callable[[], object]) -> None:
        class Instrumenter:
            def setup(self) -> None:
                what()

            def call(self, *_: Any) -> None:
                """Does nothing."""

        registry.register_instrumenter(Instrumenter)

    yield add
    registry.instrumenters.pop("Instrumenter", None)


def in_a_thread(what: Callable[[], object]) -> threading.Thread:
    """Runs in a thread, so that a start that hangs fails the test."""
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    return thread


def test_instrumenter_that_runs_a_task_lets_the_start_go_on(
    configure: Any, at_start: Callable[[Callable[[], object]], None]
) -> None:
    """A task during the start has no event, and the next one has."""
    configure()
    returned: list[str] = []
    at_start(lambda: returned.append(job()))
    thread = in_a_thread(job)
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert returned == ["done"]
    assert process.get() is not None
    with capture_events() as events:
        job()
    assert len(events) == 1


def test_instrumenter_may_register_another_one(
    configure: Any, at_start: Callable[[Callable[[], object]], None]
) -> None:
    """An instrumenter may register another one during the start, as by an import."""
    configure()
    called: list[str] = []

    def registers() -> None:
        class Other:
            def setup(self) -> None:
                called.append("other")

            def call(self, *_: Any) -> None:
                """Does nothing."""

        registry.register_instrumenter(Other)

    at_start(registers)
    try:
        active = process.start(get_config())
    finally:
        registry.instrumenters.pop("Other", None)
    assert called == ["other"]
    assert active is not None
    assert active.hound.alive()


def test_handler_of_the_log_may_run_a_task(
    configure: Any, at_start: Callable[[Callable[[], object]], None]
) -> None:
    """A log handler that runs a task during the start, for a failing instrumenter, is fine."""
    configure()
    returned: list[str] = []

    class Handler(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            returned.append(job())

    handler = Handler()
    at_start(lambda: logging.getLogger("slowhound").warning("as the start does"))
    logging.getLogger("slowhound").addHandler(handler)
    try:
        thread = in_a_thread(job)
        thread.join(TIMEOUT)
    finally:
        logging.getLogger("slowhound").removeHandler(handler)
    assert not thread.is_alive()
    assert returned == ["done"]


def test_thread_with_a_lock_that_the_start_wants_goes_on(
    configure: Any, at_start: Callable[[Callable[[], object]], None], monkeypatch: Any
) -> None:
    """A thread whose lock the start needs waits for it only for a while, unrecorded."""
    configure()
    monkeypatch.setattr(process, "START_WAIT", 0.05)
    theirs, starting = threading.Lock(), threading.Event()

    def wants() -> None:
        starting.set()
        with theirs:
            pass

    at_start(wants)
    with theirs:
        first = in_a_thread(job)
        assert starting.wait(TIMEOUT)
        second = in_a_thread(job)
        second.join(TIMEOUT)
        assert not second.is_alive()
        assert process.get() is None
    first.join(TIMEOUT)
    assert process.get() is not None


def test_another_thread_waits_for_the_start(
    configure: Any, at_start: Callable[[Callable[[], object]], None]
) -> None:
    """A second thread waits for the start: its request has an event, with one recorder."""
    configure()
    starting, go_on = threading.Event(), threading.Event()
    at_start(lambda: (starting.set(), go_on.wait(TIMEOUT)))
    found: list[process.Recorder | None] = []

    def start() -> None:
        found.append(process.start(get_config()))

    first = in_a_thread(start)
    assert starting.wait(TIMEOUT)
    waits = in_a_thread(start)
    go_on.set()
    first.join(TIMEOUT)
    waits.join(TIMEOUT)
    assert found[0] is not None
    assert found == [process.get(), process.get()]


def test_child_that_is_forked_within_the_start_has_its_own_recorder(
    configure: Any, at_start: Callable[[Callable[[], object]], None]
) -> None:
    """A child that is forked during the start can start its own recorder."""
    configure()
    ended: list[int] = []

    def fork() -> None:
        registry.instrumenters.pop("Instrumenter", None)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if process.start(get_config()) is not None else 1)
        ended.append(os.waitpid(pid, 0)[1])

    at_start(fork)
    assert process.start(get_config()) is not None
    assert ended == [0]


def test_start_that_fails_is_tried_again(configure: Any, monkeypatch: Any) -> None:
    """A start that has failed is tried again."""
    configure()

    def fails(_: process.Recorder) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(process.Recorder, "start", fails)
        with pytest.raises(KeyboardInterrupt):
            process.start(get_config())
    assert process.start(get_config()) is not None


def test_events_cannot_be_captured_by_what_the_start_calls(
    configure: Any, at_start: Callable[[Callable[[], object]], None]
) -> None:
    """Events cannot be captured during the start, and the exception has the reason."""
    configure()
    errors: list[str] = []

    def captures() -> None:
        try:
            with capture_events():
                pass
        except RuntimeError as exc:
            errors.append(str(exc))

    at_start(captures)
    process.start(get_config())
    assert errors == ["slowhound is just starting: there are no events to capture yet"]


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import gevent, tempfile
from django.conf import settings
settings.configure(SLOWHOUND={"DIR": tempfile.mkdtemp(), "STREAM": None})
import slowhound
from slowhound.recorder import process as recorder
from slowhound.instrument import registry
from slowhound.config.from_django import get_config

@registry.register_instrumenter
class Sleeps:
    def setup(self):
        assert recorder.start(get_config()) is None
        gevent.sleep(0.01)
    def call(self, *_): pass

both = [gevent.spawn(recorder.start, get_config()) for _ in range(2)]
gevent.joinall(both, raise_error=True)
print(both[0].value is both[1].value is not None)
"""


def test_greenlet_waits_for_the_start_of_another_one() -> None:
    """A greenlet waits for a start in another one, which may itself wait."""
    argv = [sys.executable, "-c", GREENLETS]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.stdout == "True\n", done.stderr
