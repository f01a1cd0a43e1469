"""What a process does whose libraries lack a name: in a child, with slowhound imported anew."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import SyncToAsync

from tests.harness.hidden_names import hide, hide_words


def without(name: str, scenario: Callable[[], Any]) -> list[str]:
    """All that slowhound logs while ``scenario`` runs without ``name``; what it raises fails."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        _child(writer, name, scenario)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    assert answer, "the child has died"
    said: list[str] | str = json.loads(answer)
    assert isinstance(said, list), said
    return said


def _child(writer: int, name: str, scenario: Callable[[], Any]) -> None:
    answer: Any = "nothing came of it"
    try:
        answer = _run(name, scenario)
    except BaseException:
        answer = traceback.format_exc()
    finally:
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)


def _run(name: str, scenario: Callable[[], Any]) -> list[str]:
    said: list[str] = []
    log = logging.getLogger("slowhound")
    log.handlers = [_Collect(said)]
    log.propagate = False
    os.environ.pop("SLOWHOUND_LOUD", None)
    # The thread of the one that is there belongs to the parent: to wait for it has no end.
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
    hide(name)
    for module in [each for each in sys.modules if each.partition(".")[0] == "slowhound"]:
        del sys.modules[module]
    hide_words()
    scenario()
    return said


class _Collect(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
