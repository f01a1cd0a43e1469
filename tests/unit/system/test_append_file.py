"""Files that lines are appended to, segments too, on a real disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slowhound.store.segments import open_segment
from slowhound.system import losses
from slowhound.system.append_file import AppendFile


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
