"""Stacks are read from what faulthandler has written."""

from __future__ import annotations

import faulthandler
import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slowhound.frames.frames import Dumped, Frame, from_faulthandler

INNER, OUTER = Frame("/app/views.py", 12, "total"), Frame("/app/wsgi.py", 3, "call")
STACK = '  File "/app/views.py", line 12 in total\n  File "/app/wsgi.py", line 3 in call\n'
# What Python 3.14 writes of a segmentation fault.
FATAL_3_14 = f"""\
Fatal Python error: Segmentation fault

Thread 0x00007f5b0c7fe6c0 [nightly import] (most recent call first):
  File "/usr/lib/python3.14/threading.py", line 1024 in run
  File "/usr/lib/python3.14/threading.py", line 1082 in _bootstrap_inner

Current thread 0x00007f5b0d2f8740 [python3.14] (most recent call first):
{STACK}
Current thread's C stack trace (most recent call first):
  Binary file "/usr/bin/python3.14", at _Py_DumpStack+0x3a [0x6a3b4a]
  Binary file "/lib/x86_64-linux-gnu/libc.so.6", at +0x3c050 [0x7f5b0d11a050]
  <truncated rest of calls>

Extension modules: msgspec._core, _cffi_backend (total: 2)
"""


def test_fatal_error_of_3_14() -> None:
    """Names of threads, the stack of C and the list of extensions are no frames."""
    other, current = from_faulthandler(FATAL_3_14)
    assert (other.ident, other.current) == (0x7F5B0C7FE6C0, False)
    assert [frame.function for frame in other.stack] == ["_bootstrap_inner", "run"]
    assert current == Dumped(0x7F5B0D2F8740, True, (OUTER, INNER))


def test_stack_of_one_thread() -> None:
    """What a handler writes for its own thread names no thread; outermost frame first."""
    (found,) = from_faulthandler(f"Stack (most recent call first):\n{STACK}")
    assert found == Dumped(0, True, (OUTER, INNER))


def test_frame_of_which_little_is_known() -> None:
    """`???` in the place of a line is 0; of a file, without its quotes, or a function it stays."""
    text = """\
Stack (most recent call first):
  File "a.py", line ??? in f
  File ???, line 3 in call
  File ???, line ??? in ???
"""
    (found,) = from_faulthandler(text)
    assert found.stack == (Frame("???", 0, "???"), Frame("???", 3, "call"), Frame("a.py", 0, "f"))


def test_stack_that_is_cut_off() -> None:
    """The frames that are whole count, and `...` for a deeper stack is none."""
    text = f"Stack (most recent call first):\n{STACK}  ...\n"
    assert from_faulthandler(text)[0].stack == (OUTER, INNER)
    for end in range(len(text)):
        stacks = [each.stack for each in from_faulthandler(text[:end])]
        assert all(frame[:2] in {OUTER[:2], INNER[:2]} for stack in stacks for frame in stack)


def test_names_that_are_cut_off() -> None:
    """faulthandler cuts names at 500 characters and adds dots; they stay as they are."""
    name = "n" * 500 + "..."
    text = f'Stack (most recent call first):\n  File "/{name}", line 7 in {name}\n'
    assert from_faulthandler(text)[0].stack == (Frame(f"/{name}", 7, name),)


def test_name_with_quotes_in_it() -> None:
    """A file's name may hold what else ends it."""
    text = 'Stack (most recent call first):\n  File "/a", line 1 in b", line 7 in c\n'
    assert from_faulthandler(text)[0].stack[0].line in (1, 7)


@pytest.mark.parametrize("text", ["Thread 0x12 (most recent call first):\n", f"noise\n{STACK}"])
def test_thread_without_frames_and_frames_without_a_thread(text: str) -> None:
    """Neither is a stack."""
    assert from_faulthandler(text) == []


PIECES = st.sampled_from(
    [
        *FATAL_3_14.splitlines(keepends=True),
        "Stack (most recent call first):\n",
        '  File "',
        '", line ',
        "???",
        " in ",
        "  ...\n",
        "<no Python frame>\n",
        "Thread 0x",
        "9" * 40,
        "\0",
        "\ud800",
    ]
)


@pytest.mark.slow
@given(st.one_of(st.text(), st.lists(PIECES | st.text(max_size=5)).map("".join)))
@example("Thread 0x" + "f" * 400 + " (most recent call first):\n" + STACK)
@example('Stack (most recent call first):\n  File "a", line ' + "9" * 5000 + " in b\n")
def test_any_text_gives_a_result(text: str) -> None:
    """Reading never raises, and what it gives are frames."""
    for found in from_faulthandler(text):
        assert found.stack
        assert all(isinstance(each.line, int) and str(each) for each in found.stack)


def test_what_this_python_writes(tmp_path: Path) -> None:
    """The text of the running version is read back: this thread's and another's frames."""
    hold = threading.Event()
    ready = threading.Event()

    def waits() -> None:
        ready.set()
        hold.wait()

    other = threading.Thread(target=waits, name="nightly (import)")
    other.start()
    ready.wait()
    with (tmp_path / "dump").open("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        found = {each.ident: each for each in from_faulthandler(file.read())}
    hold.set()
    other.join()
    assert other.ident is not None
    own = found[threading.get_ident()]
    assert own.current
    assert own.stack[-1].function == "test_what_this_python_writes"
    assert not found[other.ident].current
    assert "waits" in [frame.function for frame in found[other.ident].stack]
