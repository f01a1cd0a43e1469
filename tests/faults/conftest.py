"""Fixtures with file systems that refuse to write or fill up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Tmpfs:
    """A small file system for one test, mounted on `path`."""

    def __init__(self, path: Path, size: str) -> None:
        self.path = path
        path.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(path))

    @property
    def filler(self) -> Path:
        return self.path / "filler"

    def fill(self, free: int = 0) -> None:
        """Takes all space but `free` bytes."""
        with self.filler.open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"\0" * 4096)
            except OSError:
                size = filler.tell()
            filler.truncate(max(0, size - free))

    def empty(self) -> None:
        """Gives the space back."""
        self.filler.unlink()

    def read_only(self) -> None:
        run("mount", "-o", "remount,ro", str(self.path))

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


def run(*argv: str) -> None:
    """Runs a system command; if it fails, skips the test with its error output."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(argv)}: {done.stderr.strip()}")


def need_root(tool: str) -> None:
    if os.getuid() != 0:
        pytest.skip(f"{tool} needs root")
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool} here")


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Tmpfs]:
    """A tmpfs of 64 KiB."""
    need_root("mount")
    mounted = Tmpfs(tmp_path / "tmpfs", "64k")
    yield mounted
    mounted.unmount()


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in which not even root can make a file."""
    need_root("chattr")
    folder = tmp_path / "immutable"
    folder.mkdir(mode=0o700)
    run("chattr", "+i", str(folder))
    yield folder
    run("chattr", "-i", str(folder))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of another user."""
    if os.getuid() != 0:
        pytest.skip("giving a folder away needs root")
    folder = tmp_path / "foreign"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    return folder


@pytest.fixture
def unusable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A DIR, of the kind the test asks for, that cannot be used."""
    makers: dict[str, Callable[[], Path]] = {
        "a file in its place": lambda: written(tmp_path / "file"),
        "below a file": lambda: written(tmp_path / "file") / "record",
        "where nothing can be made": lambda: Path("/proc/self/slowhound"),
        "a link": lambda: linked(tmp_path),
        "a link to nowhere": lambda: pointing(tmp_path / "link", tmp_path / "nowhere"),
        "another user's": lambda: request.getfixturevalue("foreign"),
        "writable by all": lambda: open_to_all(tmp_path / "open"),
        "immutable": lambda: request.getfixturevalue("immutable"),
        "read-only": lambda: read_only(request.getfixturevalue("tmpfs")),
    }
    return makers[request.param]()


def written(path: Path) -> Path:
    path.write_text("not a folder")
    return path


def open_to_all(path: Path) -> Path:
    path.mkdir()
    path.chmod(0o777)
    return path


def pointing(link: Path, target: Path) -> Path:
    link.symlink_to(target)
    return link


def linked(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir(mode=0o700)
    return pointing(tmp_path / "link", tmp_path / "target")


def read_only(tmpfs: Tmpfs) -> Path:
    tmpfs.read_only()
    return tmpfs.path
