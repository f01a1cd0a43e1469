"""Turns the black box of a worker that has ended into events, in the arbiter.

The arbiter uses neither Django nor the network, and does not know the application's settings. Each
worker writes where its box is into anonymous shared memory that is made before the fork. The box
holds the rest: format, stream, folder.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from slowhound.blackbox.payloads import Settings, read_settings
from slowhound.blackbox.peer_reports import read_reports
from slowhound.core.report import of_death
from slowhound.delivery.spool import spool_new, spool_unsent
from slowhound.event import formats
from slowhound.gunicorn.children import STOPPING, as_the_worker
from slowhound.gunicorn.logger import AccessStream, Logger, access_log_on
from slowhound.peers.death import Death
from slowhound.peers.postmortem import ended_box, events
from slowhound.peers.written_events import unsent, written_by
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import missing
from slowhound.sinks import stream
from slowhound.stacks.fatal_errors import of_box
from slowhound.system import oom_kills
from slowhound.system.files import create
from slowhound.system.losses import lost

CFG = "gunicorn.workers.base.Worker:cfg"
PEERS_WRITE = "the events of a worker that has ended are written by its peers"
PATH_AT, PATH_BYTES = 24, 4096
NO_WORKERS = "the workers are not known, and unresponsive ones are not reported"
_numbers = itertools.count()
# Workers that have not been reaped, by the ids of their objects.
_unreaped: dict[int, Any] = {}


class Mailbox:
    """Memory that the arbiter and one worker share: the path of the worker's box, and three times.

    The worker can write anything here, and the arbiter may be root. ``heartbeat`` is the hound's,
    0 before it starts; ``next_check`` is when the arbiter checks an unresponsive worker again;
    ``abort`` is when the arbiter has aborted the worker, 0 before. All are monotonic, in ns.
    """

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, PATH_AT + PATH_BYTES)
        self.heartbeat = memoryview(self._map)[:8].cast("q")
        self.next_check = memoryview(self._map)[8:16].cast("q")
        self.abort = memoryview(self._map)[16:PATH_AT].cast("q")

    def put_path(self, path: str) -> bool:
        """In the worker: writes where its box is. False where the path is too long."""
        encoded = os.fsencode(path) + b"\0"
        if len(encoded) > PATH_BYTES:
            return False
        self._map[PATH_AT : PATH_AT + len(encoded)] = encoded
        # From now on: the worker may hang before its hound wakes for the first time.
        self.heartbeat[0] = clock.monotonic_ns()
        return True

    @property
    def path(self) -> str:
        """The path of the worker's box; empty when it has none."""
        return os.fsdecode(self._map[PATH_AT:].partition(b"\0")[0])

    def close(self) -> None:
        """Gives the memory back."""
        self.heartbeat.release()
        self.next_check.release()
        self.abort.release()


def give_mailbox(worker: Any) -> None:
    """Before the fork: makes the memory that the arbiter and the worker share."""
    _oom.start_once()
    worker.slowhound_mailbox = Mailbox()
    _unreaped[id(worker)] = worker


def reap(server: Any, worker: Any) -> None:
    """In the arbiter, after the worker's death: writes the events of its requests in flight."""
    mailbox: Mailbox | None = getattr(worker, "slowhound_mailbox", None)
    _unreaped.pop(id(worker), None)
    if mailbox is None or not mailbox.path:
        return
    path = mailbox.path
    mailbox.close()
    timed_out = getattr(worker, "aborted", None)
    if timed_out is None:
        missing("gunicorn.workers.base.Worker:aborted", "timeouts count as crashes")
    status = _caller_variable(
        "gunicorn.arbiter.Arbiter.reap_workers:status", "the cause of a death is not known"
    )
    death = Death.of_status(
        status,
        timed_out=bool(timed_out),
        stopped=getattr(worker, "slowhound_stopped", False),
        oom=_oom.has_killed(),
    )
    _as_worker(worker, partial(_reap, server, path, death))


def _as_worker(worker: Any, task: Callable[[], None]) -> None:
    cfg = getattr(worker, "cfg", None)
    if cfg is None:
        missing(CFG, PEERS_WRITE)
    else:
        as_the_worker(cfg, task)


class _OutOfMemory:
    """Counts the kernel's out-of-memory kills, each once."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._seen: int | None = None

    def start_once(self) -> None:
        """Remembers the count before the first worker starts; further calls do nothing."""
        if self._path is None:
            self._path = oom_kills.counter_file()
            self._seen = oom_kills.kills(self._path)

    def has_killed(self) -> bool:
        """True if the kernel has killed once more; called at each death, each kill counts once."""
        count = oom_kills.kills(self._path)
        if count is None or self._seen is None or count <= self._seen:
            return False
        self._seen += 1
        return True


_oom = _OutOfMemory()


def on_signal(server: Any, pid: int, number: int) -> None:
    """The arbiter sends a signal to a worker: remembers whether it stops it or times it out."""
    worker = workers(server).get(pid)
    if worker is not None and number in (*STOPPING, signal.SIGKILL):
        worker.slowhound_stopped = True
    mailbox: Mailbox | None = getattr(worker, "slowhound_mailbox", None)
    if mailbox is not None and number == signal.SIGABRT:
        with contextlib.suppress(ValueError):  # Gunicorn 23 has reaped it just now
            mailbox.abort[0] = clock.monotonic_ns()


def workers(server: Any) -> dict[int, Any]:
    """The running workers by process id; empty where the arbiter has no list of them."""
    found: dict[int, Any] | None = getattr(server, "WORKERS", None)
    if found is None:
        missing("gunicorn.arbiter.Arbiter.WORKERS", NO_WORKERS)
        return {}
    return found


def reap_the_rest(server: Any) -> None:
    """When the arbiter ends: reaps the worker, if any, for which it has not called ``child_exit``.

    It takes an exit with 3 or 4 for a failed start, and stops before that hook.
    """
    for worker in list(_unreaped.values()):
        path = worker.slowhound_mailbox.path
        if path:
            code = _caller_variable(
                "gunicorn.arbiter.Arbiter.halt:exit_status", "its exit code is not known"
            )
            death = Death("exit", None, clock.monotonic(), code)
            _as_worker(worker, partial(_reap, server, path, death))


def _reap(server: Any, path: str, death: Death) -> None:
    with ended_box(path) as state:
        directory = os.path.dirname(os.path.dirname(path))
        if state is not None:
            spool_unsent(directory, unsent(directory, state))
        if state is not None and state.pending:
            written = written_by(directory, state.pid)
            found = events(state, death, written, of_box(path), read_reports(path))
            for event in found:
                # With this one, which was still counted.
                event["g_w_count"] = len(workers(server)) + 1
            settings = read_settings(state.settings)
            write(server, path, settings, found)
            if settings.deliver:  # the thread of a running worker will send them
                for event in found:
                    spool_new(directory, of_death(event))


def _caller_variable(name: str, so: str) -> int | None:
    """A local variable of a caller: Gunicorn passes the status of ``waitpid`` to no hook."""
    path, _, variable = name.partition(":")
    function = path.rpartition(".")[2]
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    value = frame.f_locals.get(variable) if frame is not None else None
    if isinstance(value, int):
        return value
    missing(name, so)
    return None


def write(server: Any, path: str, settings: Settings, found: list[dict[str, Any]]) -> None:
    """Writes a worker's events as it would have done itself; its box is at ``path``."""
    directory = os.path.dirname(os.path.dirname(path))
    logfmt = settings.format != "json"
    lines = [formats.json_line(event) for event in found]
    shown = [
        formats.logfmt(event) if logfmt else line[:-1].decode()
        for event, line in zip(found, lines, strict=True)
    ]
    if lines and settings.dir:
        _append(os.path.join(directory, "events"), b"".join(lines))
    _stream(server, settings.stream, shown)


def _stream(server: Any, target: Any, lines: list[str]) -> None:
    if target is None:
        return
    file = None
    log = server.log
    if target != "auto":
        write, file = stream.to_file(str(target))
    elif not isinstance(log, Logger):
        write = stream.to_stdout
    elif access_log_on(log):
        write = AccessStream()
    else:
        return
    for line in lines:
        write(line, [])
    if file is not None:
        file.close()


def _append(folder: str, data: bytes) -> None:
    """Writes the events to a new segment, for a segment has one writer."""
    name = f"{clock.time_ns() // 1_000_000}-{os.getpid()}-{next(_numbers)}.jsonl"
    try:
        fd = create(os.path.join(folder, name), os.O_WRONLY | os.O_APPEND)
        try:
            if os.write(fd, data) < len(data):
                lost("events", "only a part of them could be written")
        finally:
            os.close(fd)
    except OSError as exc:
        lost("events", exc)
