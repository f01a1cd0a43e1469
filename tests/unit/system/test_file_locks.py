"""A file system without locks: everything works, that is logged once, no descriptor leaks."""

from __future__ import annotations

import errno
import fcntl
import gc
import itertools
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import NAMESPACE, PARENT
from slowhound.blackbox.reader import reporting, survey
from slowhound.cli import main
from slowhound.cli.location import Location
from slowhound.cli.sidecar import Sidecar
from slowhound.config.config import load
from slowhound.delivery.item import DeliveryItem
from slowhound.delivery.spool import Spool
from slowhound.instrument.saturation import Saturation
from slowhound.peers.postmortem import ended_box
from slowhound.recorder.own_box import settings_payload
from slowhound.stacks.fatal_errors import write_to
from slowhound.store import segments
from slowhound.store.answer import StoreError
from slowhound.store.compaction import closed_segments
from slowhound.store.segments import open_segment
from slowhound.store.ship import Shipper
from slowhound.system import file_locks
from slowhound.system.processes import this_process
from tests.harness.reports import slow_report
from tests.harness.waiting import eventually


def no_flock(number: int) -> Callable[[int, int], None]:
    """``fcntl.flock`` on a file system without locks."""

    def flock(fd: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error that such a file system may return."""
    monkeypatch.setattr(fcntl, "flock", no_flock(request.param))
    monkeypatch.setattr(file_locks, "_warned", False)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


DIES = """
import errno, fcntl, os, sys
if sys.argv[2] == "none":
    def flock(fd, operation): raise OSError(errno.ENOSYS, "no locks")
    fcntl.flock = flock
from slowhound.blackbox.box import Box
box = Box(sys.argv[1], 2)
box.settings.write(b'{"dir":"its own"}')
box.claim(7, b'{"id":"a"}', 1)
print(box.path, flush=True)
sys.stdin.read()
os._exit(1)
"""


def process(folder: Path, *before: str, locks: str = "none") -> subprocess.Popen[str]:
    """A process with a box and a request in flight; it dies when its input ends."""
    argv = [*before, sys.executable, "-c", DIES, str(folder), locks]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.usefixtures("no_locks")
def test_items_are_claimed_by_one_and_no_descriptor_leaks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No flock on DIR: reports are delivered, and the lack of locks is logged once."""
    spool = Spool(str(tmp_path / "dir"))
    before = descriptors()
    with caplog.at_level(logging.WARNING):
        name = spool.put(DeliveryItem(slow_report()))
        for _ in range(3):
            with spool.claim(name) as first, spool.claim(name) as second:
                assert first is not None
                assert second is None
            with spool.limiter() as limiter:
                limiter.count_held("f", 1, 1.0)
    assert descriptors() == before
    assert len(caplog.records) == 1
    assert "has no locks" in caplog.text
    spool.remove(name)
    assert not [each for each in os.listdir(spool.folder) if each.endswith(".due.lock")]


@pytest.mark.usefixtures("no_locks")
def test_lock_of_one_that_has_died_is_taken_over(tmp_path: Path) -> None:
    """The process that made the lock file is identified by more than its pid."""
    path = tmp_path / "item"
    path.touch()
    fd = os.open(path, os.O_RDWR)
    mine = this_process()
    beside = Path(f"{path}.lock")
    beside.write_text(" ".join(map(str, mine)))
    with pytest.raises(BlockingIOError):
        file_locks.lock(fd)
    beside.write_text(" ".join(map(str, mine._replace(born=mine.born - 1))))
    assert file_locks.lock(fd) is False
    file_locks.close(fd)
    assert not beside.exists()


@pytest.mark.usefixtures("no_locks")
def test_lock_that_is_held_for_long_is_kept(tmp_path: Path) -> None:
    """In another container the holder cannot be seen: ``slowhound ship`` renews its lock."""
    first = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    (beside,) = (tmp_path / "ship").glob("*.lock.lock")
    elsewhere = beside.read_text().split()
    elsewhere[1] = str(int(elsewhere[1]) + 1)  # another namespace

    def error_elsewhere() -> str:
        """The error that a second shipper in another container gets."""
        mine = beside.read_bytes()
        found = os.stat(beside)
        beside.write_text(" ".join(elsewhere))
        os.utime(beside, (found.st_mtime, found.st_mtime))
        try:
            Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db").close()
        except StoreError as exc:
            beside.write_bytes(mine)
            os.utime(beside, (found.st_mtime, found.st_mtime))
            return str(exc)
        return ""

    os.utime(beside, (1, 1))
    first.ship_all()
    assert "another process ships" in error_elsewhere()
    # A process that was stopped for ten minutes has lost it, and does not go on beside the other.
    os.utime(beside, (1, 1))
    assert error_elsewhere() == ""
    second = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    beside.write_text(" ".join(elsewhere))
    for _ in range(2):
        with pytest.raises(StoreError, match="another process ships"):
            first.ship_all()
    beside.unlink()
    first.ship_all()
    first.close()
    second.close()
    assert not beside.exists()


@pytest.mark.usefixtures("no_locks")
def test_living_and_ended_processes_are_distinguished(tmp_path: Path) -> None:
    """The header identifies the process; one of two that come at once reaps it."""
    folder = tmp_path / "dir"
    box = Box(str(folder), 1)
    child = process(folder)
    assert child.stdin is not None
    assert child.stdout is not None
    path = child.stdout.readline().strip()
    living, ended = survey(str(folder))
    assert {each.pid for each in living} == {os.getpid(), child.pid}
    assert ended == []
    with ended_box(path) as state:
        assert state is None
    child.communicate("")
    before = descriptors()
    assert survey(str(folder))[1] == [path]
    with ended_box(path) as first, ended_box(path) as second:
        assert first is not None
        assert second is None
    assert descriptors() == before
    assert os.listdir(folder / "boxes") == [os.path.basename(box.path)]
    box.close()


@pytest.mark.usefixtures("no_locks")
def test_one_process_reports_at_a_time(tmp_path: Path) -> None:
    """The right to report is a lock as well."""
    box = Box(str(tmp_path / "dir"), 1)
    write_to(box.path.removesuffix(".box") + ".stacks")
    before = descriptors()
    with reporting(box.path) as first, reporting(box.path) as second:
        assert (first, second) == (True, False)
    with reporting(box.path) as third:
        assert third
    assert descriptors() == before
    box.close()


@pytest.mark.usefixtures("no_locks")
def test_segment_of_a_living_process_is_not_closed(tmp_path: Path) -> None:
    """Its box shows that it lives."""
    folder = str(tmp_path / "dir")
    box = Box(folder, 1)
    segment = open_segment(folder, 10**6)
    segment.write(b"{}\n", [])
    os.utime(segment.name, (1, 1))
    events = os.path.dirname(segment.name)
    assert list(closed_segments(events, (segment.name,))) == []
    box.close()
    before = descriptors()
    found = list(closed_segments(events, (segment.name,)))
    assert [each.path for each in found] == [segment.name]
    file_locks.close(found[0].fd)
    assert descriptors() == before
    assert os.listdir(events) == [os.path.basename(segment.name)]
    segment.close()


COMMANDS = [
    ["ps", "--json"],
    ["dump"],
    ["watch"],
    ["tail", "-n", "5"],
    ["ask", "views"],
    ["ask", "sql", "SELECT count(*) FROM events"],
    ["reports"],
    ["report", "last"],
    ["flame", "--fingerprint", "b243b292947b"],
    ["doctor"],
    ["ship", "--to", "clickhouse://127.0.0.1:1/db"],
]


@pytest.mark.parametrize("no_locks", [errno.ENOSYS, errno.EINVAL], indirect=True)
@pytest.mark.usefixtures("no_locks")
def test_every_command_works_without_locks(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None ends with an exception, leaves a descriptor open, or repeats the warning."""
    monkeypatch.setattr("slowhound.peers.dumps.DUMP_PATIENCE", 0.05)
    monkeypatch.setattr("slowhound.cli.reap.PARENT_PATIENCE", 0.0)
    monkeypatch.setattr("slowhound.peers.reaper.PARENT_PATIENCE", 0.0)
    monkeypatch.setattr("slowhound.cli.ship.MOST_TRIES", 1)  # no server is there
    folder = tmp_path / "dir"
    box = Box(str(folder), 1)
    box.settings.write(settings_payload(load({"DIR": str(folder)}), "test"))
    segment = open_segment(str(folder), 10**6)
    segment.write(
        b'{"event_type":"request","req_id":"a","ts":1800000000.5,"host":"h","pid":1}\n', []
    )
    segment.close()

    def run() -> dict[str, int]:
        before, leaked = descriptors(), {}
        for words in COMMANDS:
            if words[0] == "ps":  # which reaps
                process(folder).communicate("")
            main([*words[:1], "--dir", str(folder), *words[1:]])
            sidecar = Sidecar(Location(str(folder), os.geteuid()))
            sidecar.run_once()
            sidecar._segment.close()
            gc.collect()
            leaked[words[0]] = descriptors() - before
        return leaked

    with caplog.at_level(logging.WARNING):
        run()  # what a library keeps open from its first use on is no leak
        leaked = run()
    assert set(leaked.values()) == {0}, leaked
    assert [each.message for each in caplog.records if "no locks" in each.message] == [
        caplog.records[0].message
    ]
    written = capsys.readouterr()
    assert "Traceback" not in written.err
    assert os.listdir(folder / "boxes") == [os.path.basename(box.path)]
    box.close()


def test_files_are_locked_where_locks_need_files_to_be_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS refuses an exclusive lock on a file that is open for reading only, see flock(2)."""
    flock = fcntl.flock

    def over_nfs(fd: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", over_nfs)
    folder = str(tmp_path / "dir")
    child = process(Path(folder), locks="flock")
    assert child.stdout is not None
    path = child.stdout.readline().strip()
    child.communicate("")
    segment = open_segment(folder, 10**6)
    segment.write(b"{}\n", [])
    segment.close()
    os.utime(segment.name, (1, 1))
    found = list(closed_segments(os.path.dirname(segment.name), (segment.name,)))
    assert [each.path for each in found] == [segment.name]
    file_locks.close(found[0].fd)
    with ended_box(path) as state:
        assert state is not None


def test_two_containers_with_one_pid_have_two_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are process 1, and start in the same millisecond."""
    monkeypatch.setattr(segments.clock, "time_ns", lambda: 10**18)
    names = set()
    for _ in range(2):
        monkeypatch.setattr(segments, "_numbers", itertools.count())
        segment = open_segment(str(tmp_path / "dir"), 10**6)
        names.add(segment.name)
        segment.close()
    assert len(names) == 2


def test_workers_of_another_container_are_not_counted(tmp_path: Path) -> None:
    """Two PID namespaces that share DIR: each has its own process 1."""
    boxes = [Box(str(tmp_path / "dir"), 1) for _ in range(3)]
    boxes[0].cells[NAMESPACE] += 1
    for box in boxes:
        box.cells[PARENT] = os.getppid()
    saturation = Saturation()
    saturation.sample(survey(str(tmp_path / "dir"))[0])
    assert saturation.fields["g_w_count"] == 2
    for box in boxes:
        box.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")
@pytest.mark.parametrize("locks", ["none", "flock"])
def test_process_of_another_namespace_is_known_as_such(
    tmp_path: Path, locks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken to be alive, and its pid is searched nowhere."""
    if locks == "none":
        monkeypatch.setattr(fcntl, "flock", no_flock(errno.ENOSYS))
    assert shutil.which("unshare"), "util-linux is not installed"
    folder = tmp_path / "dir"
    child = process(folder, "unshare", "--pid", "--fork", "--kill-child", locks=locks)
    assert child.stdout is not None
    path = child.stdout.readline().strip()
    (state,), ended = survey(str(folder))
    assert (state.pid, state.is_here, state.path, ended) == (1, False, path, [])
    child.communicate("")
    if locks == "flock":
        eventually(lambda: survey(str(folder))[1] == [path], "its end is seen")


def test_file_that_another_process_has_removed_is_not_locked(tmp_path: Path) -> None:
    """It was opened before and locked afterwards: the other process has dealt with it."""
    path = tmp_path / "item"
    path.touch()

    def slow_lock(fd: int) -> None:
        path.unlink()
        file_locks.lock(fd)

    with file_locks.opened_and_locked(str(path), lock=slow_lock) as fd:
        assert fd is None
    path.touch()
    with file_locks.opened_and_locked(str(path)) as first:
        assert first is not None
        with file_locks.opened_and_locked(str(path)) as second:
            assert second is None
    with file_locks.opened_and_locked(str(tmp_path / "none")) as fd:
        assert fd is None


def test_lock_is_tried_several_times(tmp_path: Path) -> None:
    """A reader that only checks a lock holds a shared one for a moment."""
    path = tmp_path / "item"
    path.touch()
    tries: list[int] = []

    def lock(fd: int) -> None:
        tries.append(fd)
        if len(tries) < 3:
            raise BlockingIOError

    with file_locks.opened_and_locked(str(path), lock=lock, tries=3, pause=0.001) as fd:
        assert tries == [fd] * 3
    tries.clear()
    with file_locks.opened_and_locked(str(path), lock=lock, tries=2, pause=0.001) as fd:
        assert fd is None


@pytest.mark.usefixtures("no_locks")
def test_what_is_no_lock_file_of_ours_is_not_removed(tmp_path: Path) -> None:
    """It was made by somebody else, and may mean that they have the lock."""
    path, beside = tmp_path / "file", tmp_path / "file.lock"
    path.touch()
    os.mkfifo(beside)
    with path.open("rb+") as file, pytest.raises(BlockingIOError):
        file_locks.lock(file.fileno())
    assert beside.is_fifo()
