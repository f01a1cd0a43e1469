"""Holds the recorder of this process: started once, stopped at its end, forgotten by a fork.

``start`` is called where a worker process begins (Gunicorn's hooks) or, without those, by the
first request; never by importing the settings.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref

from slowhound.config.config import Config
from slowhound.config.from_django import is_ours, on_change
from slowhound.core.in_flight import in_flight
from slowhound.core.ownership import leave
from slowhound.core.record import Record
from slowhound.instrument import builtin, cache, template
from slowhound.instrument.registry import tear_down
from slowhound.recorder.process_kind import loads_for_others
from slowhound.recorder.recorder import Recorder
from slowhound.recorder.server import Server
from slowhound.runtime.clocks import clock
from slowhound.system import guard, losses

__all__ = ["Recorder", "Server", "finish", "get", "settle", "start", "stop"]

# Seconds after the beginning of a start in which other threads wait for its end. Not longer: what
# the start calls of the application may want a lock, or a module, that such a thread has.
START_WAIT = 2.0

_recorder: Recorder | None = None
_stopped = object()
# Reentrant: what the start calls of the application (an instrumenter, a handler of its log) may
# begin a request itself, and so may a signal's handler or a finalizer at any time.
_starting = threading.RLock()
_begun: float | None = None  # on the monotonic clock; None: no start is under way


def get() -> Recorder | None:
    """This process's recorder, if it has been started."""
    return _recorder


def start(config: Config, server: Server | None = None) -> Recorder | None:
    """This process's recorder, started now if need be.

    None when slowhound is off, in a process that only loads the application for others, and while
    it is being started: by this very thread, or by another one that takes long.
    """
    if _recorder is not None or not config.enabled or loads_for_others():
        return _recorder
    waited = 0.0 if _begun is None else clock.monotonic() - _begun
    mine = _starting  # in a child that is forked meanwhile the name means another one
    if mine.acquire(timeout=max(START_WAIT - waited, 0.0)):
        try:
            _start(config, server or Server())
        finally:
            mine.release()
    return _recorder


def _start(config: Config, server: Server) -> None:
    global _recorder, _begun
    if _begun is not None:
        return
    _begun = clock.monotonic()
    try:
        if _recorder is None:
            recorder = Recorder(config, server)
            recorder.start()
            _recorder = recorder
            _see_the_end_of(recorder)
    finally:
        _begun = None


def finish(record: Record) -> None:
    """Finishes a record, also when the recorder that began it was stopped meanwhile."""
    if _recorder is not None:
        _recorder.finish(record)
    elif record.ender is None:
        record.ender = _stopped
        leave(record)
        if record.on_end is not None:
            record.on_end(None)


def stop() -> None:
    """Stops this process's recorder; the next request starts a new one."""
    global _recorder
    stopped, _recorder = _recorder, None
    if stopped is not None:
        stopped.stop()
        tear_down()
        builtin.uninstall()


# Settings that name classes, and what wraps those that are not wrapped yet.
_CLASSES = {"CACHES": cache.wrap_backends, "TEMPLATES": template.wrap_engines}


def _settings_changed(setting: str) -> None:
    if is_ours(setting):
        stop()
    elif setting in _CLASSES and _recorder is not None:
        with guard.guard("settings"):
            _CLASSES[setting]()


on_change(_settings_changed)


def settle() -> None:
    """The process is about to end, or to be ended: what waits in memory is written and sent.

    While requests are in flight the recorder goes on after that.
    """
    recorder = _recorder
    if recorder is None or recorder.pid != os.getpid():
        return
    if in_flight:
        with guard.guard("settle"):
            recorder.delivery.flush()
            recorder.delivery.prepare()
    else:
        stop()


def _see_the_end_of(recorder: Recorder) -> None:
    reference = weakref.ref(recorder)
    atexit.register(_stop_at_exit, reference)
    # A child of multiprocessing runs this and not the other, and so does an interpreter that ends:
    # from Python 3.12 on no thread can be started after it, and a sink may need one.
    register = getattr(threading, "_register_atexit", None)
    with contextlib.suppress(RuntimeError):  # the interpreter is ending already
        if register is not None:
            register(_settle_at_end, reference)


def _settle_at_end(reference: weakref.ref[Recorder]) -> None:
    if _recorder is not None and reference() is _recorder:
        settle()


def _stop_at_exit(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is not None and recorder is _recorder and recorder.pid == os.getpid():
        stop()


def _forget_after_fork() -> None:
    """A forked child has no hound: it closes what it has inherited, and starts its own recorder."""
    global _recorder, _starting, _begun
    inherited, _recorder = _recorder, None
    _starting, _begun = threading.RLock(), None
    if inherited is not None:
        for file in inherited.writer.files:
            file.close()
        inherited.own_box.close_after_fork()
    losses.reset()
    guard.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
