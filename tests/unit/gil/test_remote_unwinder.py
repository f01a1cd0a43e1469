"""Stacks from another process's memory, where this Python and this kernel allow it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys

import pytest

from slowhound.gil import remote_unwinder
from slowhound.gil.reading import NotRead
from tests.harness.process import started
from tests.harness.waiting import eventually

CHILD = """
import sys
def waits():
    sys.stdin.read()
print("ready", flush=True)
waits()
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Python 3.14 and newer can do this")
@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel may not allow it to others than root")
def test_stack_of_a_child_is_read() -> None:
    """Outermost frame first, under the kernel's id of its thread."""
    argv = [sys.executable, "-c", CHILD]
    with started(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()

            def functions() -> list[str]:
                found = remote_unwinder.read(child.pid, platform.python_version())
                stack = found.stacks.get(child.pid, ()) if found is not None else ()
                return [frame.function for frame in stack]

            eventually(lambda: functions()[:2] == ["<module>", "waits"], "its stack")
        finally:
            child.kill()


def test_process_of_another_version_is_not_read() -> None:
    """The layout of its memory is not known."""
    assert remote_unwinder.read(os.getpid(), "3.0.0") is None


def test_process_that_is_not_read_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python cannot, or the other one is of another version, or there is none."""

    def why(pid: int, python: str) -> str:
        with pytest.raises(NotRead) as caught:
            remote_unwinder.read_or_raise(pid, python)
        return str(caught.value)

    own = platform.python_version()
    monkeypatch.setattr(remote_unwinder, "available", True)
    assert why(os.getpid(), "3.0.0\n") == rf"that process runs Python 3.0.0\n, this one {own}"
    assert re.match(r"[A-Z]\w+Error\(.*\)$", why(2**30, own))
    monkeypatch.setattr(remote_unwinder, "available", False)
    assert why(os.getpid(), own) == "only Python 3.14 and newer have one"


def test_process_that_is_not_there_has_no_stacks() -> None:
    """Any error means: not in this way."""
    assert remote_unwinder.read(2**30, platform.python_version()) is None
