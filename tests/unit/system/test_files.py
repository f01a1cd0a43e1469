"""Folders, append files, segments and boxes on a real disk."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slowhound.blackbox.box import FIRST_SLOT, MAGIC, Box
from slowhound.blackbox.reader import survey
from slowhound.store.segments import open_segment
from slowhound.system import losses
from slowhound.system.append_file import AppendFile
from slowhound.system.private_dir import UnsafeFolderError, keep_within, prepare


def test_folder_is_made_private(tmp_path: Path) -> None:
    """A new DIR is for its owner alone."""
    assert os.stat(prepare(str(tmp_path / "a" / "b"))).st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """Another user could plant a symbolic link there."""
    os.chmod(tmp_path, mode)
    with pytest.raises(UnsafeFolderError, match="writable"):
        prepare(str(tmp_path))


def test_link_and_file_are_refused(tmp_path: Path) -> None:
    """Only a folder is a folder."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UnsafeFolderError, match="symbolic link"):
        prepare(str(tmp_path / "link"))
    with pytest.raises(UnsafeFolderError, match="not a folder"):
        prepare(str(tmp_path / "file"))


def test_oldest_files_go_first(tmp_path: Path) -> None:
    """Retention removes by age until the rest fits, and never the one being written."""
    for number in range(5):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(b"x" * 100)
        os.utime(path, (number, number))
    (tmp_path / "notes.txt").write_bytes(b"x" * 1000)
    removed = keep_within(
        str(tmp_path), 250, re.compile(r"\d\.jsonl"), keep=str(tmp_path / "0.jsonl")
    )
    assert removed == 3
    assert sorted(os.listdir(tmp_path)) == ["0.jsonl", "4.jsonl", "notes.txt"]


def test_segment_rotates_by_size(tmp_path: Path) -> None:
    """Past its size the next tend begins another file, and no line is lost."""
    segment = open_segment(str(tmp_path), 800)
    for number in range(10):
        segment.write(b'{"n":%d,"x":"%s"}\n' % (number, b"x" * 50))
        segment.tend()
    segment.close()
    files = sorted((tmp_path / "events").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    lines = [json.loads(line)["n"] for path in files for line in path.read_text().splitlines()]
    assert len(files) > 2
    assert sorted(lines) == list(range(10))
    assert losses.dropped == 0


def test_removed_file_is_noticed_and_counted(tmp_path: Path) -> None:
    """Lines written into a file that is gone are lost; the next tend says how many."""
    segment = open_segment(str(tmp_path), 10**6)
    segment.tend()
    os.unlink(segment.name)
    segment.write(b"one\n")
    segment.write(b"two\n")
    assert segment.tend()
    assert losses.dropped == 2
    segment.write(b"three\n")
    assert Path(segment.name).read_bytes() == b"three\n"


def test_cut_line_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a short write the next line stands on a line of its own."""
    file = AppendFile("lines", lambda: str(tmp_path / "f"))
    file.open()
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    file.write(b"first\n")
    monkeypatch.setattr(os, "write", real)
    file.write(b"second\n")
    assert (tmp_path / "f").read_bytes() == b"fir\nsecond\n"
    assert losses.dropped == 1


def test_pipe_without_a_reader_does_not_hang(tmp_path: Path) -> None:
    """A named pipe in the place of a file is refused, not waited for."""
    os.mkfifo(tmp_path / "pipe")
    file = AppendFile("lines", lambda: str(tmp_path / "pipe"))
    file.open()
    file.write(b"lost\n")
    assert losses.dropped == 1


def test_box_is_closed_where_a_file_is_in_the_place_of_its_folder(tmp_path: Path) -> None:
    """The end of a process is no time to fail."""
    box = Box(str(tmp_path), 1)
    (tmp_path / "boxes").rename(tmp_path / "old")
    (tmp_path / "boxes").touch()
    box.close()
    assert box.closed


def test_living_box_is_seen_and_a_dead_ones_is_not(tmp_path: Path) -> None:
    """The lock, not the file, says who lives."""
    code = (
        "import sys; from slowhound.blackbox.box import Box, IN_FLIGHT\n"
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
        (state,), dead = survey(str(tmp_path))
        assert (state.pid, state.parent, state.in_flight) == (child.pid, os.getpid(), 3)
        assert dead == []
        child.kill()
        child.wait()
        assert len(os.listdir(tmp_path / "boxes")) == 1
        living, dead = survey(str(tmp_path))
        assert living == []
        assert len(dead) == 1


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\0" * FIRST_SLOT, b"\xff" * FIRST_SLOT, MAGIC.to_bytes(8, "little")]
)
def test_file_that_is_no_box_is_passed_over(tmp_path: Path, content: bytes) -> None:
    """Noise in the folder is nobody's box, locked or not."""
    import fcntl

    box = Box(str(tmp_path), 4)
    with open(tmp_path / "boxes" / "noise.box", "wb") as noise:
        noise.write(content)
        noise.flush()
        fcntl.flock(noise, fcntl.LOCK_EX)
        living, dead = survey(str(tmp_path))
        assert [state.pid for state in living] == [os.getpid()]
        assert dead == []
    box.close()
    assert os.listdir(tmp_path / "boxes") == ["noise.box"]


def test_closed_box_is_gone(tmp_path: Path) -> None:
    """A worker that ends in good order leaves nothing."""
    Box(str(tmp_path), 4).close()
    assert os.listdir(tmp_path / "boxes") == []


def test_cut_line_is_ended_once_the_disk_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails between the cut line and the next one does not glue the two together."""
    file = AppendFile("lines", lambda: str(tmp_path / "f"))
    file.open()
    real = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "full")

    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    file.write(b"first\n")
    monkeypatch.setattr(os, "write", full)
    file.write(b"second\n")
    monkeypatch.setattr(os, "write", real)
    file.write(b"third\n")
    assert (tmp_path / "f").read_bytes() == b"fir\nthird\n"
    assert losses.dropped == 2
