"""Folders that are made, checked and kept small."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

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
    (tmp_path / "other.txt").write_bytes(b"x" * 1000)
    removed = keep_within(
        str(tmp_path), 250, re.compile(r"\d\.jsonl"), keep=str(tmp_path / "0.jsonl")
    )
    assert removed == 3
    assert sorted(os.listdir(tmp_path)) == ["0.jsonl", "4.jsonl", "other.txt"]
