"""The arbiter's side: a dead worker's box becomes its events. No Django, no network.

The arbiter does not know the application's settings. Each worker tells it where its box is,
through a piece of anonymous shared memory made before the fork; nothing of it outlives the two.
The box holds the rest: format, stream, folder.
"""

from __future__ import annotations

import itertools
import mmap
import os
import sys
import time
from types import FrameType
from typing import Any

from gunicorn import util

from slowhound import formats
from slowhound.appendfile import FLAGS
from slowhound.boxes import BoxState
from slowhound.gunicorn.logger import AccessStream, Logger, access_log_on
from slowhound.losses import lost
from slowhound.notes import read_note
from slowhound.postmortem import Death, dead_box, events, written_by
from slowhound.selfdumps import of_box
from slowhound.sinks import stream

PATH_BYTES = 4096
_numbers = itertools.count()


def give_mailbox(worker: Any) -> None:
    """Before the fork: memory that both will see."""
    worker.slowhound_box = mmap.mmap(-1, PATH_BYTES)


def tell_box(worker: Any, path: str) -> None:
    """In the worker: where its box is."""
    mailbox: mmap.mmap | None = getattr(worker, "slowhound_box", None)
    encoded = os.fsencode(path)
    if mailbox is not None and len(encoded) < PATH_BYTES:
        mailbox[: len(encoded) + 1] = encoded + b"\0"


def bury(server: Any, worker: Any) -> None:
    """In the arbiter, after the worker's death: writes the events of its requests in flight."""
    mailbox: mmap.mmap | None = getattr(worker, "slowhound_box", None)
    if mailbox is None:
        return
    path = os.fsdecode(mailbox[:].partition(b"\0")[0])
    mailbox.close()
    if not path:
        return
    death = Death.of_status(_exit_status(), timed_out=worker.aborted)
    cfg = worker.cfg
    if os.geteuid() == cfg.uid:
        _bury(server, path, death)
    elif os.fork() == 0:
        # The mailbox and the box are a worker's word. Whatever they name is opened with no more
        # rights than the worker had: an arbiter that is root does this as the worker's user.
        # Gunicorn's waitpid(-1) reaps this child.
        try:
            util.set_owner_process(cfg.uid, cfg.gid, initgroups=cfg.initgroups)
            _bury(server, path, death)
        finally:
            os._exit(0)


def _bury(server: Any, path: str, death: Death) -> None:
    with dead_box(path) as state:
        if state is not None and state.pending:
            _write(server, path, state, death)


def _exit_status() -> int | None:
    """What ``waitpid`` said. Gunicorn passes it to no hook; it is a local of the caller's."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "reap_workers":
        frame = frame.f_back
    status = frame.f_locals.get("status") if frame is not None else None
    return status if isinstance(status, int) else None


def _write(server: Any, path: str, state: BoxState, death: Death) -> None:
    settings = read_note(state.settings)
    directory = os.path.dirname(os.path.dirname(path))
    found = events(state, death, written_by(directory, state.pid), of_box(path))
    for event in found:
        event["g_w_count"] = len(server.WORKERS) + 1  # the dead one was still counted
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
