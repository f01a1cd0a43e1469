"""Files of ours are opened and replaced; what else stands under their names is not touched."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from slowhound.system import files
from slowhound.system.files import (
    ANY_USER,
    NotOwnFileError,
    create,
    is_removed,
    open_own,
    opened,
    opened_folder,
    read_end,
    write_all,
    write_new,
    write_whole,
)

ME = os.geteuid()
FLAGS = {"reading": os.O_RDONLY, "writing": os.O_RDWR, "making": os.O_WRONLY | os.O_CREAT}


def link(path: Path, target: Path) -> None:
    """A symbolic link to a file of ours."""
    path.symlink_to(target)


def link_to_nothing(path: Path, target: Path) -> None:
    """A symbolic link whose target can be made."""
    path.symlink_to(target.with_name("none"))


def folder(path: Path, target: Path) -> None:
    """A folder."""
    path.mkdir()


def pipe(path: Path, target: Path) -> None:
    """A named pipe, without another end."""
    os.mkfifo(path)


@pytest.mark.parametrize("flags", FLAGS.values(), ids=list(FLAGS))
def test_backup_of_hard_links_and_a_changed_mode_refuse_nothing(tmp_path: Path, flags: int) -> None:
    """``cp -al`` gives each file a second name, and in a folder of ours only we can set a mode."""
    path = tmp_path / "file"
    path.write_bytes(b"ours")
    (tmp_path / "backup").hardlink_to(path)
    path.chmod(0o666)
    os.close(open_own(str(path), flags))


@pytest.mark.parametrize("flags", FLAGS.values(), ids=list(FLAGS))
@pytest.mark.parametrize("stands_there", [link, link_to_nothing, folder, pipe])
def test_what_is_no_file_of_ours_is_refused(
    tmp_path: Path, stands_there: Callable[[Path, Path], None], flags: int
) -> None:
    """At once, and nothing is left open or made."""
    target = tmp_path / "target"
    target.write_bytes(b"ours")
    stands_there(tmp_path / "file", target)
    before = os.listdir("/proc/self/fd"), sorted(os.listdir(tmp_path))
    with pytest.raises(OSError):
        open_own(str(tmp_path / "file"), flags)
    assert (os.listdir("/proc/self/fd"), sorted(os.listdir(tmp_path))) == before
    assert target.read_bytes() == b"ours"


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_file_of_another_user_is_refused(tmp_path: Path, flags: int) -> None:
    """Whoever that is meant to be."""
    path = tmp_path / "file"
    path.touch()
    os.close(open_own(str(path), flags))
    os.close(open_own(str(path), flags, ME))
    with pytest.raises(NotOwnFileError, match=f"belongs to user {ME}"):
        open_own(str(path), flags, ME + 1)


@pytest.fixture
def other_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process acts as an operator would, who may open what is not theirs."""
    monkeypatch.setattr(files, "this_user", lambda: ME + 1)


@pytest.mark.usefixtures("other_user")
def test_operator_reads_a_file_of_the_owner_of_its_folder(tmp_path: Path) -> None:
    """But does not write to it, unless it is said whose it has to be."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with opened(str(path)) as fd:
        assert read_end(fd, 10) == b"x"
    with pytest.raises(NotOwnFileError):
        open_own(str(path), os.O_WRONLY)
    os.close(open_own(str(path), os.O_WRONLY, ME))


@pytest.mark.skipif(ME != 0, reason="only root can give a file away")
def test_file_in_a_shared_folder_is_read_whosever_it_is(tmp_path: Path) -> None:
    """Where that does not matter."""
    path = tmp_path / "file"
    path.touch()
    os.chown(path, 12345, 12345)
    with pytest.raises(NotOwnFileError):
        open_own(str(path))
    os.close(open_own(str(path), owner=ANY_USER))


@pytest.mark.parametrize("path", ["none", "no/folder", "with\0a zero"])
def test_file_that_is_not_there_is_none(path: str) -> None:
    """As with ``os.open``."""
    with pytest.raises((OSError, ValueError)):
        open_own(path)


def test_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """And made once."""
    path = str(tmp_path / "file")
    os.close(create(path))
    assert os.stat(path).st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        create(path)


def test_child_does_not_keep_a_block_open(tmp_path: Path) -> None:
    """It would hold the lock of its parent, which may die."""
    path = str(tmp_path / "file")
    os.close(create(path))
    reading, writing = os.pipe()
    with opened(path) as fd:
        child = os.fork()
        if not child:
            signal.alarm(10)
            try:
                os.fstat(fd)
            except OSError:
                os.write(writing, b"closed")
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"closed"
    os.close(reading)


def test_block_that_goes_on_in_a_child_closes_no_other_file(tmp_path: Path) -> None:
    """Its descriptor's number may be another file's by then."""
    with opened_folder(str(tmp_path)) as fd:
        files._close_all()
        other = os.open(tmp_path, os.O_RDONLY)
        assert other == fd
    os.fstat(other)
    os.close(other)


def test_removed_file_is_told_from_one_that_is_there(tmp_path: Path) -> None:
    """By its names."""
    path = tmp_path / "file"
    path.touch()
    with opened(str(path)) as fd:
        assert not is_removed(fd)
        path.unlink()
        assert is_removed(fd)


def test_end_of_a_file_is_read(tmp_path: Path) -> None:
    """All of it, where it is no longer."""
    (tmp_path / "file").write_bytes(b"0123456789")
    with opened(str(tmp_path / "file")) as fd:
        assert read_end(fd, 4) == b"6789"
        assert read_end(fd, 11) == b"0123456789"


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes some bytes with each write."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))


@pytest.mark.usefixtures("cut")
def test_all_is_written_however_little_is_taken(tmp_path: Path) -> None:
    """A write may be cut short."""
    fd = create(str(tmp_path / "file"))
    write_all(fd, b"0123456789")
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"0123456789"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes some bytes, and then no more."""
    real, taken = os.write, []

    def write(fd: int, data: bytes) -> int:
        if taken:
            raise OSError(28, "full")
        taken.append(fd)
        return real(fd, data[:3])

    monkeypatch.setattr(os, "write", write)


@pytest.mark.usefixtures("full")
def test_half_of_a_file_is_not_left(tmp_path: Path) -> None:
    """Neither a new one nor a draft, and what was there stays."""
    (tmp_path / "there").write_bytes(b"former")
    with pytest.raises(OSError, match="full"):
        write_new(str(tmp_path / "new"), b"0123456789")
    with pytest.raises(OSError, match="full"):
        write_whole(str(tmp_path / "there"), b"0123456789", str(tmp_path / "draft"))
    assert os.listdir(tmp_path) == ["there"]
    assert (tmp_path / "there").read_bytes() == b"former"


def test_file_is_replaced_at_once(tmp_path: Path) -> None:
    """Whatever a process that died has left in the place of the draft."""
    path, draft = tmp_path / "file", tmp_path / "draft"
    path.write_bytes(b"former")
    draft.symlink_to(tmp_path / "trap")
    write_whole(str(path), b"new", str(draft))
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_folder_in_the_place_of_a_file_stays(tmp_path: Path) -> None:
    """And no draft is left."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        write_whole(str(tmp_path / "file"), b"new", str(tmp_path / "draft"))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(ME != 0, reason="only root can give a file away")
def test_what_root_writes_into_a_folder_is_its_owners(tmp_path: Path) -> None:
    """Also when another folder has taken the place of it meanwhile."""
    (tmp_path / "folder").mkdir()
    os.chown(tmp_path / "folder", 12345, 12345)
    with opened_folder(str(tmp_path / "folder")) as fd:
        (tmp_path / "folder").rename(tmp_path / "moved")
        (tmp_path / "folder").mkdir()
        write_whole("file", b"x", "draft", fd)
    assert os.listdir(tmp_path / "folder") == []
    assert (tmp_path / "moved" / "file").stat().st_uid == 12345
