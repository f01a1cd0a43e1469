"""The kernel's ids of Python's threads."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from slowhound.system.python_threads import native_id_of, python_threads

FORKS = """
import os, threading
from slowhound.system.python_threads import native_id_of, python_threads

def fork():
    if os.fork() == 0:
        mine = python_threads()[threading.get_ident()]
        print(native_id_of(mine) == threading.get_native_id() == os.getpid(), flush=True)
        os._exit(0)
    os.wait()

thread = threading.Thread(target=fork)
{how}
"""


@pytest.mark.parametrize("how", ["fork()", "thread.start(); thread.join()"])
def test_main_thread_of_a_forked_child_has_the_child_s_id(how: str) -> None:
    """Python may still have the parent's; also where another thread has forked."""
    argv = [sys.executable, "-W", "ignore", "-c", FORKS.format(how=how)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_each_thread_has_its_own_id() -> None:
    """As that thread itself says."""
    found = list[int]()
    gate = threading.Event()
    thread = threading.Thread(target=lambda: (found.append(threading.get_native_id()), gate.wait()))
    assert native_id_of(thread) is None
    thread.start()
    while not found:
        pass
    assert native_id_of(python_threads()[thread.ident or 0]) == found[0]
    assert native_id_of(None) is None
    gate.set()
    thread.join()
