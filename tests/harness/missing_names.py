"""Runs a scenario in a child process whose libraries lack a name, with slowhound imported again."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import SyncToAsync
from django.conf import settings

from tests.harness.hidden_names import hide, hide_words


def without(name: str, scenario: Callable[[], Any]) -> list[str]:
    """What slowhound logs while ``scenario`` runs without ``name``; an exception fails the test."""
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
    logged: list[str] | str = json.loads(answer)
    assert isinstance(logged, list), logged
    return logged


def _child(writer: int, name: str, scenario: Callable[[], Any]) -> None:
    answer: Any = "the scenario has not ended"
    try:
        answer = _run(name, scenario)
    except BaseException:
        answer = traceback.format_exc()
    finally:
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)


def _run(name: str, scenario: Callable[[], Any]) -> list[str]:
    logged: list[str] = []
    log = logging.getLogger("slowhound")
    log.handlers = [_Collect(logged)]
    log.propagate = False
    os.environ.pop("SLOWHOUND_LOUD", None)
    # The present executor's thread exists only in the parent: waiting for it would never end.
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
    hide(name)
    for module in [each for each in sys.modules if each.partition(".")[0] == "slowhound"]:
        del sys.modules[module]
    hide_words()
    # Not the parent's: its hound would find what the child has left there.
    with tempfile.TemporaryDirectory(prefix="slowhound-tests-") as settings.SLOWHOUND["DIR"]:
        scenario()
    return logged


class _Collect(logging.Handler):
    def __init__(self, logged: list[str]) -> None:
        super().__init__()
        self.logged = logged

    def emit(self, record: logging.LogRecord) -> None:
        self.logged.append(record.getMessage())
