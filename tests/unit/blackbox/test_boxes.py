"""Boxes on a real disk: of living processes, of ended ones, and files that are not boxes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import FIRST_SLOT, MAGIC
from slowhound.blackbox.reader import survey


def test_box_is_closed_where_a_file_is_in_the_place_of_its_folder(tmp_path: Path) -> None:
    """The end of a process is no time to fail."""
    box = Box(str(tmp_path), 1)
    (tmp_path / "boxes").rename(tmp_path / "old")
    (tmp_path / "boxes").touch()
    box.close()
    assert box.closed


def test_box_of_a_living_process_is_distinguished_from_that_of_an_ended_one(tmp_path: Path) -> None:
    """By its lock, not by the file."""
    code = (
        "import sys; from slowhound.blackbox.box import Box\n"
        "from slowhound.blackbox.layout import IN_FLIGHT\n"
        f"box = Box({str(tmp_path)!r}, 4); box.cells[IN_FLIGHT] = 3\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        (state,), ended = survey(str(tmp_path))
        assert (state.pid, state.parent, state.in_flight) == (child.pid, os.getpid(), 3)
        assert ended == []
        child.kill()
        child.wait()
        assert len(os.listdir(tmp_path / "boxes")) == 1
        living, ended = survey(str(tmp_path))
        assert living == []
        assert len(ended) == 1


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\0" * FIRST_SLOT, b"\xff" * FIRST_SLOT, MAGIC.to_bytes(8, "little")]
)
def test_file_that_is_not_a_box_is_left_out(tmp_path: Path, content: bytes) -> None:
    """Whether or not it is locked."""
    import fcntl

    box = Box(str(tmp_path), 4)
    with open(tmp_path / "boxes" / "noise.box", "wb") as noise:
        noise.write(content)
        noise.flush()
        fcntl.flock(noise, fcntl.LOCK_EX)
        living, ended = survey(str(tmp_path))
        assert [state.pid for state in living] == [os.getpid()]
        assert ended == []
    box.close()
    assert os.listdir(tmp_path / "boxes") == ["noise.box"]


def test_closed_box_is_gone(tmp_path: Path) -> None:
    """A worker that ends in good order leaves no file."""
    Box(str(tmp_path), 4).close()
    assert os.listdir(tmp_path / "boxes") == []
