"""Frames, locations and fingerprints."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import sysconfig
import threading
import weakref
from functools import partial

import pytest

from slowhound.frames.frames import (
    Frame,
    current_frames,
    fingerprint,
    from_frame,
    from_traceback,
    locate,
    render,
    without_collector,
)

APP = "/srv/shop/views.py"
LIBRARY = os.path.join(sysconfig.get_path("purelib"), "lib", "x.py")


def test_stack_of_a_frame_ends_where_it_is() -> None:
    """The innermost frame is last, as in a traceback."""
    stack = from_frame(sys._getframe())
    assert stack[-1].function == "test_stack_of_a_frame_ends_where_it_is"
    assert stack[-1].source.startswith("stack = from_frame")


def test_traceback_goes_from_catch_to_raise() -> None:
    """The first frame is the one that caught, the last the one that raised."""
    try:
        json.loads("{")
    except ValueError as exc:
        stack = from_traceback(exc.__traceback__)
    assert stack[0].function == "test_traceback_goes_from_catch_to_raise"
    assert stack[-1].filename.endswith("decoder.py")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([LIBRARY, APP, LIBRARY, APP, LIBRARY], (1, 3)),
        ([LIBRARY, APP, LIBRARY], (1, 2)),
        ([LIBRARY, LIBRARY], (0, 1)),
    ],
)
def test_locations_prefer_the_application(files: list[str], expected: tuple[int, int]) -> None:
    """loc is the outermost application frame, cause_loc the innermost, else what there is."""
    stack = tuple(Frame(name, number, "f") for number, name in enumerate(files))
    loc, cause = locate(stack)
    assert (loc, cause) == (str(stack[expected[0]]), str(stack[expected[1]]))


def test_empty_stack_has_no_location() -> None:
    """Nothing is invented."""
    assert locate(()) == (None, None)


def test_fingerprint_ignores_lines_and_libraries() -> None:
    """An edit above a function and a library's update open no new group; another view does."""
    stack = (Frame(LIBRARY, 1, "run"), Frame(APP, 10, "orders"))
    moved = (Frame(LIBRARY, 99, "other"), Frame(APP, 12, "orders"))
    assert fingerprint("orders", stack) == fingerprint("orders", moved)
    assert fingerprint("orders", stack) != fingerprint("basket", stack)


def test_render_is_pythons_own_layout() -> None:
    """A report's traceback can be read by tools that read Python's."""
    frame = from_frame(sys._getframe())[-1]
    assert render((frame,)).splitlines() == [
        f'  File "{__file__}", line {frame.line}, in {frame.function}',
        "    frame = from_frame(sys._getframe())[-1]",
    ]


GARBAGE = """
import gc, threading
from slowhound.frames import frames
from slowhound.runtime import app_files as paths

class Holder:
    "Only a collection frees it."
    def __init__(self):
        self.itself, self.local = self, threading.local()
        self.local.value = 1

def deep(depth):
    if depth:
        return deep(depth - 1)
    Holder()
    return frames.current_frames()

gc.set_threshold(7, 1, 1)
for _ in range(3000):
    deep(1)
"""


def test_frames_are_read_while_garbage_waits_to_be_collected() -> None:
    """Up to Python 3.11 a collection in the midst of it would lock the process up for good."""
    done = subprocess.run([sys.executable, "-c", GARBAGE], timeout=50, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_stays_what_the_application_made_it(enabled: bool) -> None:
    """On or off, also when what is called in between raises; what it returned is given."""
    (gc.enable if enabled else gc.disable)()
    try:
        assert without_collector(int, str) == [0, ""]
        assert gc.isenabled() is enabled
        with pytest.raises(ValueError, match="empty"):
            without_collector(int, partial(max, ()))
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="garbage is collected between bytecodes")
def test_no_garbage_is_collected_within() -> None:
    """The collector is off for just that long."""
    assert without_collector(gc.isenabled) == [False]
    assert gc.isenabled()


class Kept:
    """What a view has in a variable."""


def test_frames_of_all_threads_keep_nothing_of_theirs() -> None:
    """What their functions had goes with them, and does not wait for a collection."""
    begun, goes = threading.Event(), threading.Event()
    held: list[weakref.ref[Kept]] = []

    def view() -> None:
        mine = Kept()
        held.append(weakref.ref(mine))
        begun.set()
        goes.wait()

    def count() -> int:
        found = current_frames()
        return len(found)

    thread = threading.Thread(target=view)
    gc.disable()
    try:
        thread.start()
        begun.wait()
        assert count() >= 1
        goes.set()
        thread.join()
        assert held[0]() is None
    finally:
        gc.enable()


def test_own_frame_is_not_among_those_of_the_threads() -> None:
    """It would be in a cycle with the variable that it is put into."""
    assert threading.get_ident() not in current_frames()
