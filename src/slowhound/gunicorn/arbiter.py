"""The arbiter's side: a dead worker's box becomes its events. No Django, no network.

The arbiter does not know the application's settings. Each worker tells it where its box is,
through a piece of anonymous shared memory made before the fork; nothing of it outlives the two.
The box holds the rest: format, stream, folder.
"""

from __future__ import annotations

import itertools
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from gunicorn import util

from slowhound import formats, oom
from slowhound.appendfile import FLAGS
from slowhound.boxes import open_box, read_from
from slowhound.fatal_errors import of_box
from slowhound.gil import py_spy, readers, remote_unwinder
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER
from slowhound.gunicorn.logger import AccessStream, Logger, access_log_on
from slowhound.losses import lost
from slowhound.neighbours import Neighbour
from slowhound.notes import read_note
from slowhound.postmortem import Death, dead_box, events, written_by
from slowhound.report import of_death
from slowhound.sinks import stream
from slowhound.sinks.spool import spool_new

PATH_BYTES = 4096
# Seconds between two looks at a worker that stays late: they double up to this.
LONGEST_PAUSE = 60.0
ENDING = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGKILL)
_numbers = itertools.count()
# Workers whose death was not seen yet.
_unburied: dict[int, Any] = {}


class Mailbox:
    """Memory that the arbiter and one worker share: the path of its box, and its heartbeat.

    All that it holds is the worker's word, and the arbiter may be root.
    """

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, PATH_BYTES)
        self.heartbeat = memoryview(self._map)[:8].cast("q")  # ns, monotonic; 0: none yet
        # The arbiter's own: when to look at a late worker again, and the pause after that.
        self.next_look = self.pause = 0.0

    def tell(self, path: str) -> None:
        """In the worker: where its box is."""
        encoded = os.fsencode(path) + b"\0"
        if len(encoded) <= PATH_BYTES - 8:
            self._map[8 : 8 + len(encoded)] = encoded
            # It may be stuck before its hound wakes for the first time.
            self.heartbeat[0] = time.monotonic_ns()

    @property
    def path(self) -> str:
        """The path of the worker's box; empty when it has none."""
        return os.fsdecode(self._map[8:].partition(b"\0")[0])

    def close(self) -> None:
        """Gives the memory back."""
        self.heartbeat.release()


def give_mailbox(worker: Any) -> None:
    """Before the fork: memory that both will see."""
    _oom.start_once()
    worker.slowhound_mailbox = Mailbox()
    _unburied[id(worker)] = worker


def bury(server: Any, worker: Any) -> None:
    """In the arbiter, after the worker's death: writes the events of its requests in flight."""
    mailbox: Mailbox | None = getattr(worker, "slowhound_mailbox", None)
    _unburied.pop(id(worker), None)
    if mailbox is None or not mailbox.path:
        return
    path = mailbox.path
    mailbox.close()
    death = Death.of_status(
        _local("reap_workers", "status"),
        timed_out=worker.aborted,
        stopped=getattr(worker, "slowhound_stopped", False),
        oom=_oom.has_killed(),
    )
    _as_the_worker(worker.cfg, partial(_bury, server, path, death))


class _OutOfMemory:
    """Whether the kernel has killed for want of memory since this was last asked."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._seen: int | None = None

    def start_once(self) -> None:
        """From the first worker on."""
        if self._path is None:
            self._path = oom.counter_file()
            self._seen = oom.kills(self._path)

    def has_killed(self) -> bool:
        """Asked at each death: one kill accounts for one death."""
        count = oom.kills(self._path)
        if count is None or self._seen is None or count <= self._seen:
            return False
        self._seen += 1
        return True


_oom = _OutOfMemory()


def told_to_stop(server: Any, pid: int, number: int) -> None:
    """The arbiter sends a signal to a worker: is it to end?"""
    worker = server.WORKERS.get(pid)
    if worker is not None and number in ENDING:
        worker.slowhound_stopped = True


def bury_the_rest(server: Any) -> None:
    """When the arbiter ends: the one worker, if any, whose death it told no hook of.

    One that exits with 3 or 4 it takes for a failed start, and stops before ``child_exit``.
    """
    for worker in list(_unburied.values()):
        path = worker.slowhound_mailbox.path
        if path:
            death = Death("exit", None, time.monotonic(), _local("halt", "exit_status"))
            _as_the_worker(worker.cfg, partial(_bury, server, path, death))


def look_after(server: Any) -> None:
    """In the arbiter's main loop: reports in the place of a worker that cannot run itself.

    A check takes 0.1 s: so one worker at a time, and less and less often one that stays so.
    """
    now = time.monotonic()
    for worker in list(server.WORKERS.values()):
        mailbox: Mailbox | None = getattr(worker, "slowhound_mailbox", None)
        if mailbox is None or not mailbox.heartbeat[0]:
            continue
        if now - mailbox.heartbeat[0] / 1e9 <= UNRESPONSIVE_AFTER:
            mailbox.pause = 0.0
        elif now >= mailbox.next_look or not mailbox.pause:
            mailbox.pause = min(max(mailbox.pause * 2, 1.0), LONGEST_PAUSE)
            mailbox.next_look = now + mailbox.pause
            # py-spy takes up to 4 s, and is a child: its end is nothing that Gunicorn should see.
            apart = not remote_unwinder.available and py_spy.command() is not None
            _as_the_worker(worker.cfg, partial(_look, server, mailbox.path), in_child=apart)
            return


def _as_the_worker(cfg: Any, task: Callable[[], object], *, in_child: bool = False) -> None:
    """Runs ``task`` with no more rights than the workers have; ``in_child``: and does not wait.

    The mailbox and the box are a worker's word: whatever they name is opened with the worker's own
    rights. An arbiter that is root does this in a child. It exits with 0, so that Gunicorn's
    waitpid(-1), which reaps it, says nothing: a 3 would stop the whole server.
    """
    changes_user = os.geteuid() != cfg.uid
    if not changes_user and not in_child:
        task()
    elif os.fork() == 0:
        try:
            _restore_signals()
            if changes_user:
                util.set_owner_process(cfg.uid, cfg.gid, initgroups=cfg.initgroups)
            task()
        finally:
            os._exit(0)


def _restore_signals() -> None:
    """In a child: Gunicorn's handlers would have it wait for workers that are not its own."""
    for number in (signal.SIGCHLD, *ENDING[:-1]):
        signal.signal(number, signal.SIG_DFL)


def _look(server: Any, path: str) -> None:
    fd = open_box(path)
    try:
        state = read_from(fd)
    finally:
        os.close(fd)
    if state is not None:
        settings = read_note(state.settings)
        write = partial(_write, server, path, settings)
        Neighbour(path, lambda event: write([event]), readers=readers.ELSEWHERE).look(state)


def _bury(server: Any, path: str, death: Death) -> None:
    with dead_box(path) as state:
        if state is not None and state.pending:
            directory = os.path.dirname(os.path.dirname(path))
            written = written_by(directory, state.pid)
            found = events(state, death, written, of_box(path))
            for event in found:
                event["g_w_count"] = len(server.WORKERS) + 1  # the dead one was still counted
            settings = read_note(state.settings)
            _write(server, path, settings, found)
            if settings.get("deliver"):  # a living worker's thread will send them
                for event in found:
                    spool_new(directory, of_death(event))


def _local(function: str, name: str) -> int | None:
    """A local of a caller's: Gunicorn passes to no hook what ``waitpid`` said."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    value = frame.f_locals.get(name) if frame is not None else None
    return value if isinstance(value, int) else None


def _write(server: Any, path: str, settings: dict[str, Any], found: list[dict[str, Any]]) -> None:
    """Writes events of the worker whose box is at ``path`` as it would have done itself."""
    directory = os.path.dirname(os.path.dirname(path))
    logfmt = settings.get("format") != "json"
    lines = [formats.json_line(event) for event in found]
    shown = [
        formats.logfmt(event) if logfmt else line[:-1].decode()
        for event, line in zip(found, lines, strict=True)
    ]
    if lines and settings.get("dir"):
        _append(os.path.join(directory, "events"), b"".join(lines))
    _stream(server, settings.get("stream"), shown)


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
        write = AccessStream(log.access_log)
    else:
        return
    for line in lines:
        write(line)
    if file is not None:
        file.close()


def _append(folder: str, data: bytes) -> None:
    """Writes a segment of its own: a segment has one writer."""
    name = f"{time.time_ns() // 1_000_000}-{os.getpid()}-{next(_numbers)}.jsonl"
    try:
        fd = os.open(os.path.join(folder, name), FLAGS | os.O_EXCL, 0o600)
        try:
            if os.write(fd, data) < len(data):
                lost("events", "only a part of them could be written")
        finally:
            os.close(fd)
    except OSError as exc:
        lost("events", exc)
