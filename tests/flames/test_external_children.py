"""The external process of a profile has no effect on an application's own children and signals."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="Python 3.14 and newer can read another process"
)


# In processes of their own, for the test process has children.
APPLICATION = """
    import os, signal, sys, threading, time
    from slowhound.flames.sampling import session as module
    from slowhound.flames.sampling import external
    from slowhound.core.record import Record

    def begin():
        record = Record("GET", "/", time.monotonic())
        assert module.start(record)
        return record

    def sampler():
        return module._session.external

    def until(condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end
            sum(range(100))

    def wait_for_a_sample():
        until(lambda: os.fstat(sampler()._output).st_size)
        until(lambda: sampler()._child < 0)  # the intermediate process, which is a child

    def all_children():
        "Waits as some applications do: for any child, until there is none."
        found = []
        while True:
            try:
                found.append(os.wait()[0])
            except ChildProcessError:
                return found
"""


def application(code: str) -> str:
    """The output of an application that is profiled."""
    whole = textwrap.dedent(APPLICATION) + textwrap.dedent(code)
    argv = [sys.executable, "-W", "ignore", "-c", whole]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_application_that_waits_for_any_child_gets_its_own_only() -> None:
    """With each way to start one; the external process is no child of it, and continues."""
    output = application("""
        import subprocess
        record = begin()
        wait_for_a_sample()
        children = {os.fork() or os._exit(0), subprocess.Popen(["/bin/sleep", "0"]).pid}
        print(set(all_children()) == children)
        seen = os.fstat(sampler()._output).st_size
        until(lambda: os.fstat(sampler()._output).st_size > seen)
        print("remote" in module.stop(record).accuracy.ways)
    """)
    assert output == "True\nTrue\n"


def test_handler_of_sigchld_that_is_set_meanwhile_is_not_called() -> None:
    """It gets no signal for the end of the external process."""
    output = application("""
        called = []
        record = begin()
        wait_for_a_sample()
        signal.signal(signal.SIGCHLD, lambda *_: called.append(os.waitpid(-1, os.WNOHANG)))
        pid = sampler().pid
        module.stop(record)
        until(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in open(f"/proc/{pid}/stat").read())
        print(called)
    """)
    assert output == "[]\n"


def test_application_that_adopts_orphans_has_no_external_process() -> None:
    """Such as the first process of a container: the grandchild would become its child."""
    output = application("""
        import ctypes
        assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
        record = begin()
        until(lambda: module._session.samples.taken > 20)
        print(sampler().pid, all_children(), *module.stop(record).accuracy.ways)
    """)
    assert output == "0 [] hound\n"


def test_application_with_a_child_has_no_external_process() -> None:
    """It may wait for any child at any time."""
    output = application("""
        child = os.fork()
        if child == 0:
            time.sleep(60)
        record = begin()
        until(lambda: module._session.samples.taken > 20)
        print(sampler().pid, *module.stop(record).accuracy.ways)
        os.kill(child, signal.SIGKILL)
    """)
    assert output == "0 hound\n"


@pytest.mark.parametrize("language", ["python", "c"])
def test_handler_of_sigchld_is_never_called(language: str) -> None:
    """Nor does a sleep in C code end early: no external process is started."""
    output = application(f"""
        import ctypes
        called = []
        handler = lambda *_: called.append(1)
        if {language!r} == "python":
            signal.signal(signal.SIGCHLD, handler)
        else:
            kept = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
            ctypes.CDLL(None).signal(signal.SIGCHLD, kept)
        record = begin()
        until(lambda: module._session.samples.taken > 20)
        print(called, *module.stop(record).accuracy.ways)
    """)
    assert output == "[] hound\n"


def test_application_without_children_has_none_afterwards() -> None:
    """No zombie, and no process that it could wait for."""
    output = application("""
        record = begin()
        wait_for_a_sample()
        print("remote" in module.stop(record).accuracy.ways, all_children())
    """)
    assert output == "True []\n"


def test_application_that_reaps_the_intermediate_process_does_no_harm() -> None:
    """It waits for all children at that moment, and no other process is reaped in its place."""
    output = application("""
        found = external.ExternalSampler()
        found.prepare()
        found.start(os.getpid(), 20)
        taken = os.waitpid(-1, 0)[0]
        other = os.fork() or os._exit(0)
        until(lambda: found.tend() or found.pid)
        print(found._child, taken != found.pid)
        until(lambda: os.fstat(found._output).st_size)
        found.end()
        print(len(found.take()) > 0, all_children() == [other])
    """)
    assert output == "-1 True\nTrue True\n"
