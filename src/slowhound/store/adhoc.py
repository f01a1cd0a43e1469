"""A person's SQL runs in a process of its own, which ends by its bounds whatever it does.

DuckDB's own limit of memory is one of what it keeps, not of what it works on: a list, a text or an
answer of gigabytes is no part of it, and between two of its steps it hears no interruption. So the
kernel bounds the memory of the process (``RLIMIT_DATA``), and its end does not wait for DuckDB; see
``adhoc_child``.
It costs 0.3 s to start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import msgspec

from slowhound.runtime.library_names import NOT_JSON
from slowhound.store.adhoc_child import MEMORY, TIME, Answered
from slowhound.store.answer import Answer, StoreError
from slowhound.store.broken import UnreadableError
from slowhound.store.event_files import Files

# Seconds until it has begun and been heard of, beside those of the question: a busy machine.
BESIDE = 20.0
CHILD = """
import json, sys
task = json.loads(sys.stdin.buffer.readline())
sys.path[:] = task.pop("path")
from slowhound.store.adhoc_child import main
main(**task)
"""
# The rest of the environment is the application's, and may hold secrets.
KEPT = ("LD_LIBRARY_PATH", "TZ")
_decode = msgspec.msgpack.Decoder(Answered).decode


def run(files: Files, text: str, seconds: float, rows: int) -> Answer:
    """The answer to a person's SQL over these files.

    Raises:
        UnreadableError: DuckDB has raised something.
        StoreError: it was refused, or ended by a bound; or no process can be started.
    """
    task = {
        "path": [each or os.getcwd() for each in sys.path],
        "segments": files.segments,
        "parquet": files.parquet,
        "text": text,
        "seconds": seconds,
        "rows": rows,
    }
    try:
        code, data = _run(json.dumps(task).encode() + b"\n", seconds + BESIDE)
    except subprocess.TimeoutExpired as exc:
        raise _too_long(seconds) from exc
    except OSError as exc:
        raise StoreError(f"no process can be started for it: {exc}") from exc
    if code in (TIME, -signal.SIGXCPU):
        raise _too_long(seconds)
    try:
        answered = _decode(data)
    except NOT_JSON:
        if code in (-signal.SIGABRT, -signal.SIGKILL, MEMORY):  # C++ ends where no memory is had
            raise _too_much() from None
        raise StoreError(f"the process that was asked has ended ({code})") from None
    if answered.failed == "time":
        raise _too_long(seconds)
    if answered.failed == "memory":
        raise _too_much()
    if answered.failed == "files":
        raise UnreadableError(answered.text)
    if answered.failed:
        raise StoreError(answered.text)
    return Answer(answered.columns, answered.rows, answered.remarks)


def _too_long(seconds: float) -> StoreError:
    return StoreError(f"it took longer than {seconds:g} s and was ended")


def _too_much() -> StoreError:
    return StoreError("it needed more memory than a question may have, and was ended")


def interpreter() -> str:
    """The path of this Python; within another program, as uWSGI, its executable is that one's.

    Raises:
        OSError: there is none.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = [os.path.join(each, "bin") for each in (sys.exec_prefix, sys.base_exec_prefix)]
    paths = [os.path.join(place, name) for place in places for name in (version, "python3")]
    if os.path.basename(sys.executable or "").startswith("python"):
        paths.insert(0, sys.executable)
    for path in paths:
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(2, "there is no Python interpreter", paths[0])


def _run(task: bytes, seconds: float) -> tuple[int, bytes]:
    # When this process ends, however it does, so does the pipe, and with it the child.
    reads, writes = os.pipe()
    try:
        # Of a session of its own: Ctrl-C is for this process, which ends the other.
        child: Any = subprocess.Popen(  # noqa: S603  our own words
            [interpreter(), "-S", "-s", "-E", "-c", CHILD.strip(), str(reads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(reads,),
            env={name: os.environ[name] for name in KEPT if name in os.environ},
            start_new_session=True,
        )
    except BaseException:
        os.close(writes)
        raise
    finally:
        os.close(reads)
    try:
        data, _ = child.communicate(task, seconds)
        return child.returncode, data
    finally:
        os.close(writes)
        _end(child)


def _end(child: Any) -> None:
    if child.poll() is None:
        with suppress(OSError):
            child.kill()
        child.communicate()
