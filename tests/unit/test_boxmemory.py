"""Black boxes on a disk, where a store into a map may find no room, or no disk any more."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slowhound import blackbox, boxmemory, losses
from slowhound.boxes import read


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> blackbox.Box:
    """One that is written by system calls."""
    monkeypatch.setattr(boxmemory, "can_be_mapped", lambda fd: False)
    return blackbox.Box(str(tmp_path / "d"), 2)


def test_what_is_written_is_read(box: blackbox.Box) -> None:
    """By others from the file, and by the process itself."""
    slot = box.claim(7, b'{"id":"seven"}', 4711, 4712)
    assert slot is not None
    slot.view_known("orders")
    slot.query_begins("SELECT 1", time.monotonic())
    slot.note_stack(7, b'{"stack":[]}')
    state = read(Path(box.path).read_bytes())
    assert state is not None
    (pending,) = state.pending
    assert (pending.number, pending.thread, pending.ident) == (7, 4711, 4712)
    assert (pending.who, pending.view) == (b'{"id":"seven"}', b"orders")
    assert pending.stack == b'{"stack":[]}'
    slot.release()
    assert box.cells[blackbox.PID] == os.getpid()
    box.close()
    assert not Path(box.path).exists()


def test_write_that_finds_no_room_gives_the_box_up_and_says_so(
    box: blackbox.Box, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a store into a map would have ended the process."""
    losses.reset()
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, box._bytes._fd)  # type: ignore[attr-defined]
    os.close(full)
    slot = box.claim(7, b"{}", 1)
    assert slot is not None
    slot.query_begins("SELECT 1", time.monotonic())
    slot.release()
    assert "cannot write the black box" in caplog.text
    assert "No space left" in caplog.text
    assert caplog.text.count("cannot write") == 1
    assert not box.still_there()  # so that the hound makes another one


def test_box_that_was_removed_writes_into_no_other_file(box: blackbox.Box, tmp_path: Path) -> None:
    """It has let go of its descriptor, and another file has the number now."""
    slot = box.claim(7, b"{}", 1)
    assert slot is not None
    box.abandon()
    other = [os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT) for number in range(3)]
    slot.view_known("orders")
    slot.release()
    assert [os.fstat(fd).st_size for fd in other] == [0, 0, 0]
    for fd in other:
        os.close(fd)


MOUNTS = {
    "tmpfs /run/x": ("tmpfs tmpfs rw,size=8k", "", True),
    "ext4": ("ext4 /dev/vda rw,errors=remount-ro", "rw\ndelalloc\n", True),
    "ext4, full journal": ("ext4 /dev/vda rw,data=journal", "rw\nnodelalloc\n", False),
    "ext4, no delayed allocation": ("ext4 /dev/vda rw,nodelalloc", "rw\nnodelalloc\n", False),
    "ext4, so by its own defaults": ("ext4 /dev/vda rw", "rw\nnodelalloc\n", False),
    "ext4 of a container that does not see it": ("ext4 /dev/vda rw", None, False),
    "ext3": ("ext3 /dev/vda rw", "", False),
    "xfs": ("xfs /dev/vda rw", "", False),
    "btrfs": ("btrfs /dev/vda rw", "", False),
    "overlay": ("overlay overlay rw,lowerdir=/a,upperdir=/b", "", False),
}


@pytest.mark.parametrize("name", MOUNTS)
def test_only_what_is_known_to_be_safe_is_mapped(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, and on an ext4 as it is by default; a store elsewhere can be a SIGBUS."""
    kind, options, safe = MOUNTS[name]
    file = tmp_path / "box"
    file.touch()
    device = file.stat().st_dev
    (tmp_path / "mountinfo").write_text(
        "22 1 0:1 / /other rw - xfs /dev/vdb rw\n"
        f"23 1 {os.major(device)}:{os.minor(device)} / /mnt rw,noatime shared:1 - {kind}\n"
    )
    if options is not None:
        (tmp_path / "options").write_text(options)
    plain = open
    monkeypatch.setattr(
        "builtins.open",
        lambda path, *_: plain(tmp_path / os.path.basename(os.fsdecode(path)), "rb"),
    )
    fd = os.open(file, os.O_RDWR)
    assert boxmemory.can_be_mapped(fd) == safe
    os.close(fd)


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no tmpfs that is known to be one")
def test_tmpfs_of_this_machine_is_mapped_and_proc_is_not() -> None:
    """By what the kernel says of their mounts."""
    with open("/dev/shm/slowhound-test", "wb") as file:
        os.unlink(file.name)
        assert boxmemory.can_be_mapped(file.fileno())
    with open("/proc/self/status", "rb") as file:
        assert not boxmemory.can_be_mapped(file.fileno())
