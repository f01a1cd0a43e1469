"""Black boxes on file systems where a store into a map may want for room."""

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
    monkeypatch.setattr(boxmemory, "stores_in_place", lambda fd: False)
    return blackbox.Box(str(tmp_path / "d"), 2)


def test_what_is_written_is_read(box: blackbox.Box) -> None:
    """By others from the file, and by the process itself from its map."""
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


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no tmpfs that is known to be one")
def test_tmpfs_keeps_blocks_in_their_place() -> None:
    """So do ext4 and xfs; what is not known counts as one that does not."""
    with open("/dev/shm/slowhound-test", "wb") as file:
        os.unlink(file.name)
        assert boxmemory.stores_in_place(file.fileno())
    with open("/proc/self/status", "rb") as file:
        assert not boxmemory.stores_in_place(file.fileno())
