"""Black boxes on a disk, where a store into a map may find no room, or a failed disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slowhound.blackbox import layout, memory
from slowhound.blackbox.box import Box
from slowhound.blackbox.reader import read
from slowhound.system import losses


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A box that is written with system calls."""
    monkeypatch.setattr(memory, "can_be_mapped", lambda fd: False)
    return Box(str(tmp_path / "d"), 2)


def test_what_is_written_is_read(box: Box) -> None:
    """By other processes from the file, and by the process itself."""
    slot = box.claim(7, b'{"id":"seven"}', 4711, 4712)
    assert slot is not None
    slot.view_known("orders")
    slot.query_begins("SELECT 1", time.monotonic())
    slot.write_stack(7, b'{"stack":[]}')
    state = read(Path(box.path).read_bytes())
    assert state is not None
    (pending,) = state.pending
    assert (pending.number, pending.thread, pending.ident) == (7, 4711, 4712)
    assert (pending.who, pending.view) == (b'{"id":"seven"}', b"orders")
    assert pending.stack == b'{"stack":[]}'
    slot.release()
    assert box.cells[layout.PID] == os.getpid()
    box.close()
    assert not Path(box.path).exists()


def test_write_that_finds_no_room_gives_the_box_up_and_logs_it(
    box: Box, caplog: pytest.LogCaptureFixture
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


def test_box_that_was_removed_writes_into_no_other_file(box: Box, tmp_path: Path) -> None:
    """It has closed its descriptor, and another file has the number now."""
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
    assert memory.can_be_mapped(fd) == safe
    os.close(fd)


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no tmpfs that is known to be one")
def test_tmpfs_of_this_machine_is_mapped_and_proc_is_not() -> None:
    """By the kernel's table of mounts."""
    with open("/dev/shm/slowhound-test", "wb") as file:
        os.unlink(file.name)
        assert memory.can_be_mapped(file.fileno())
    with open("/proc/self/status", "rb") as file:
        assert not memory.can_be_mapped(file.fileno())


CUT = """
import os, sys, time
from django.conf import settings
settings.configure()
from slowhound.peers import dumps
from slowhound.core import in_flight as in_flight_module
from slowhound.blackbox import memory as boxmemory
boxmemory.can_be_mapped = lambda fd: True
from slowhound.config.config import load
from slowhound.core.record import Record
from slowhound.recorder.recorder import Recorder, Server
from slowhound.recorder.turn import WorkerTurn
folder, size = sys.argv[1], int(sys.argv[2])
config = load({"DIR": folder, "STREAM": None, "STORE": False})

def request(recorder):
    made = Record("GET", "/a", time.monotonic())
    recorder.begin(made)
    return made

def turn(r):
    return WorkerTurn(config, r.watch, r.sampler, r.own_box, None)

STEPS = {
    "begin": lambda r, box, made: request(r),
    "begin without a free slot": lambda r, box, made: (box.free.clear(), request(r)),
    "take a slot from a websocket": lambda r, box, made: box.reclaim([made.taken]),
    "was it reported": lambda r, box, made: made.slot.reported(made.number),
    "report": lambda r, box, made: made.slot.report(made.number),
    "stack": lambda r, box, made: made.slot.write_stack(made.number, b"{}"),
    "asleep": lambda r, box, made: turn(r).asleep(0.1),
    "awake": lambda r, box, made: turn(r).awake(),
    "tend": lambda r, box, made: r.own_box.tend(),
    "dump": lambda r, box, made: dumps.answer(box),
    "sent": lambda r, box, made: r.own_box._write_sent(7),
    "settings": lambda r, box, made: box.settings.write(b"{}"),
    "stop": lambda r, box, made: r.stop(),
}
for name, step in STEPS.items():
    print(name, flush=True)
    recorder = Recorder(config, Server(slots=4))
    recorder.own_box.tend()
    box = recorder.own_box.box
    assert box.is_mapped
    made = request(recorder)
    assert made.slot is not None
    os.truncate(box.path, size)
    step(recorder, box, made)
    # Everything goes on, and the next turn makes another box.
    made.slot.query_begins("SELECT 2", time.monotonic())
    recorder.finish(made)
    if name != "stop":
        recorder.own_box.tend()
        assert not os.path.exists(box.path)
        assert recorder.own_box.box is not box and request(recorder).slot is not None
    in_flight_module.in_flight.clear()
print("lives")
"""
LINUX_5_14 = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (5, 14)


@pytest.mark.skipif(not LINUX_5_14, reason="the kernel cannot check a page")
@pytest.mark.parametrize("size", [0, 100, 4096, 8192])
def test_box_that_is_cut_in_place_does_not_end_the_process(tmp_path: Path, size: int) -> None:
    """That is noticed when a request begins, and at each step of the hound."""
    done = subprocess.run(
        [sys.executable, "-c", CUT, str(tmp_path / "d"), str(size)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "lives", "")


def test_without_the_check_of_the_kernel_boxes_are_written_with_system_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux before 5.14 does not have it."""
    monkeypatch.setattr(memory, "can_be_mapped", lambda fd: True)
    monkeypatch.setattr(memory, "POPULATE_WRITE", 9999)
    box = Box(str(tmp_path / "d"), 2)
    assert not box.is_mapped
    box.close()


def test_box_that_was_cut_is_given_up_where_it_is_written_as_well(box: Box) -> None:
    """Its header is gone, so no process can read the rest."""
    os.truncate(box.path, 0)
    slot = box.claim(7, b"{}", 1)
    assert slot is not None
    assert not box.still_there()
    assert not Path(box.path).exists()


def test_file_that_is_cut_before_it_is_mapped_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk, the next turn tries again."""

    def cut(fd: int) -> bool:
        os.ftruncate(fd, 0)
        return True

    monkeypatch.setattr(memory, "can_be_mapped", cut)
    with pytest.raises(OSError, match="cut the new file"):
        Box(str(tmp_path / "d"), 2)
    assert list((tmp_path / "d" / "boxes").iterdir()) == []
