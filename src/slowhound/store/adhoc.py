"""Runs ad-hoc SQL in a child process with limits of time and memory.

DuckDB's own memory limit does not include the values that it is working on, such as a list, a text
or an answer of gigabytes; and it notices an interruption only between two of its steps. So the
kernel limits the memory of the process (``RLIMIT_DATA``), and the process ends without waiting for
DuckDB; see ``adhoc_child``. It takes 0.3 s to start.
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
from slowhound.store.adhoc_child import EXIT_MEMORY, EXIT_TIME, ChildResult
from slowhound.store.answer import Answer, StoreError
from slowhound.store.broken import UnreadableError
from slowhound.store.event_files import EventFiles

# Seconds to start and to answer on a busy machine, in addition to those of the SQL itself.
STARTUP_TIME = 20.0
CHILD_CODE = """
import json, sys
task = json.loads(sys.stdin.buffer.readline())
sys.path[:] = task.pop("path")
from slowhound.store.adhoc_child import main
main(**task)
"""
# The other variables of the environment are the application's, and may be secret.
KEPT_VARIABLES = ("LD_LIBRARY_PATH", "TZ")
# C++ aborts when out of memory.
OUT_OF_MEMORY_CODES = (-signal.SIGABRT, -signal.SIGKILL, EXIT_MEMORY)
_decode = msgspec.msgpack.Decoder(ChildResult).decode


def run(files: EventFiles, text: str, seconds: float, rows: int) -> Answer:
    """The answer to ad-hoc SQL over these files.

    Raises:
        UnreadableError: DuckDB raised an error.
        StoreError: it was refused, exceeded a limit, or no process could be started.
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
        code, data = _run(json.dumps(task).encode() + b"\n", seconds + STARTUP_TIME)
    except subprocess.TimeoutExpired as exc:
        raise _too_long(seconds) from exc
    except OSError as exc:
        raise StoreError(f"no process could be started for the SQL: {exc}") from exc
    if code in (EXIT_TIME, -signal.SIGXCPU):
        raise _too_long(seconds)
    try:
        result = _decode(data)
    except NOT_JSON:
        if code in OUT_OF_MEMORY_CODES:
            raise _too_much() from None
        raise StoreError(f"the process that ran the SQL has ended ({code})") from None
    return _answer_of(result, seconds)


def _answer_of(result: ChildResult, seconds: float) -> Answer:
    if result.failed == "time":
        raise _too_long(seconds)
    if result.failed == "memory":
        raise _too_much()
    if result.failed == "files":
        raise UnreadableError(result.text)
    if result.failed:
        raise StoreError(result.text)
    return Answer(result.columns, result.rows, result.remarks)


def _too_long(seconds: float) -> StoreError:
    return StoreError(f"it took longer than {seconds:g} s and was stopped")


def _too_much() -> StoreError:
    return StoreError("it needed more memory than the limit and was stopped")


def interpreter() -> str:
    """The path of a Python like this one; ``sys.executable`` may be another program, such as uWSGI.

    Raises:
        OSError: none was found.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [os.path.join(each, "bin") for each in (sys.exec_prefix, sys.base_exec_prefix)]
    paths = [os.path.join(folder, name) for folder in folders for name in (version, "python3")]
    if os.path.basename(sys.executable or "").startswith("python"):
        paths.insert(0, sys.executable)
    for path in paths:
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(2, "there is no Python interpreter", paths[0])


def _run(task: bytes, seconds: float) -> tuple[int, bytes]:
    # When this process ends, for any reason, its end of the pipe is closed, and the child ends.
    reads, writes = os.pipe()
    try:
        # In a session of its own: Ctrl-C must reach this process only, which ends the child.
        child: Any = subprocess.Popen(  # noqa: S603  no input of users
            [interpreter(), "-S", "-s", "-E", "-c", CHILD_CODE.strip(), str(reads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(reads,),
            env={name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
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
