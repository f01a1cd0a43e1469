"""Dumps are requested through the box, made, and read, whatever is in the file."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import DUMP_MADE, DUMP_REQUESTED
from slowhound.blackbox.reader import DUMP_SUFFIX, beside
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER
from slowhound.peers import dumps
from slowhound.peers.dumps import DumpError, answer, compose, fetch, read, sweep
from slowhound.system import losses
from slowhound.system.file_locks import lock

ME = os.geteuid()
WHOLE = b'{"number":1,"pid":2,"requests":[],"threads":[]}'


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    found = Box(str(tmp_path), 2)
    yield found
    found.close()


def requested(box: Box, answering: threading.Event) -> dumps.Dump | None:
    """Requests a dump, while another thread plays the hound until it is stopped."""

    def hound() -> None:
        while not answering.wait(0.01):
            answer(box)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(hound)
        try:
            return fetch(box.path, ME, 20)
        finally:
            answering.set()
            running.result()


def test_each_request_has_a_new_dump(box: Box) -> None:
    """The numbers of both cells distinguish them."""
    first, second = requested(box, threading.Event()), requested(box, threading.Event())
    assert first is not None
    assert second is not None
    assert (first.number, second.number, box.cells[DUMP_MADE]) == (1, 2, 2)
    assert first.pid == os.getpid()
    assert "MainThread" in [each.name for each in first.threads]


def test_without_a_request_nothing_is_written(box: Box) -> None:
    """The task costs two loads."""
    answer(box)
    assert os.listdir(os.path.dirname(box.path)) == [os.path.basename(box.path)]


def test_without_a_dump_in_time_there_is_none(box: Box) -> None:
    """The number stays raised: the process makes the dump when it can."""
    assert fetch(box.path, ME, 0.05) is None
    assert box.cells[DUMP_REQUESTED] == 1


def test_patience_is_long_enough_to_see_a_held_gil() -> None:
    """A hold that begins at the request is old enough when the dump is given up."""
    assert dumps.DUMP_PATIENCE >= UNRESPONSIVE_AFTER + 0.5


def test_dump_that_cannot_be_written_is_not_waited_for(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is logged, and the hound goes on."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dumps, "write_whole", full)
    with pytest.raises(DumpError, match="could not write its dump"):
        requested(box, threading.Event())
    assert losses.dropped == 0


def test_dump_of_an_earlier_request_is_not_taken(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only the new one could not be written."""
    assert requested(box, threading.Event()) is not None

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dumps, "write_whole", full)
    with pytest.raises(DumpError, match="its log says why"):
        requested(box, threading.Event())


def test_ended_process_is_not_waited_for(tmp_path: Path) -> None:
    """Its box is not locked any more."""
    box = Box(str(tmp_path), 1)
    copy = tmp_path / "boxes" / "1-1.box"
    copy.write_bytes(Path(box.path).read_bytes())
    with pytest.raises(DumpError, match="not one of a living process"):
        fetch(str(copy), ME, 1)
    box.close()


def test_what_is_not_a_box_is_not_written_to(tmp_path: Path) -> None:
    """And no link is followed, no pipe waited for."""
    plain = tmp_path / "1-1.box"
    plain.write_bytes(b"x" * 5000)
    (tmp_path / "link.box").symlink_to(plain)
    (tmp_path / "folder.box").mkdir()
    os.mkfifo(tmp_path / "pipe.box")
    for name in ("1-1.box", "link.box", "folder.box", "pipe.box", "none.box"):
        with pytest.raises(DumpError):
            fetch(str(tmp_path / name), ME, 1)
    assert plain.read_bytes() == b"x" * 5000


def test_link_to_a_box_is_not_followed(box: Box, tmp_path: Path) -> None:
    """Wherever it leads."""
    (tmp_path / "link.box").symlink_to(box.path)
    with pytest.raises(DumpError, match="cannot be opened"):
        fetch(str(tmp_path / "link.box"), ME, 1)
    assert box.cells[DUMP_REQUESTED] == 0


def test_locked_file_that_is_not_a_box_is_not_written_to(tmp_path: Path) -> None:
    """A lock alone makes no box."""
    path = tmp_path / "1-1.box"
    path.write_bytes(b"x" * 5000)
    with path.open("rb") as file:
        lock(file.fileno())
        with pytest.raises(DumpError, match="not one of a living process"):
            fetch(str(path), ME, 1)
    assert path.read_bytes() == b"x" * 5000


@given(st.binary(max_size=300))
def test_noise_in_the_place_of_a_dump_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """With a message."""
    path = tmp_path_factory.mktemp("noise") / "1-1.dump"
    path.write_bytes(data)
    with pytest.raises(DumpError):
        read(str(path), ME, 1)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8))
def test_damaged_dump_is_refused_or_whole(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes
) -> None:
    """Never anything else than a dump or a DumpError."""
    path = tmp_path_factory.mktemp("noise") / "1-1.dump"
    path.write_bytes(WHOLE[:at] + noise + WHOLE[at + len(noise) :])
    with contextlib.suppress(DumpError):
        assert read(str(path), ME, 1).number >= 1


def test_dump_of_wrong_types_or_of_any_size_is_refused(tmp_path: Path) -> None:
    """It is read up to the limit only."""
    path = tmp_path / "1-1.dump"
    path.write_bytes(WHOLE)
    assert read(str(path), ME, 1).pid == 2
    for data in (
        WHOLE.replace(b"2", b'"2"'),
        WHOLE.replace(b"[]", b"{}"),
        WHOLE.replace(b'"threads":[]', b'"threads":[{"name":1,"thread":1,"stack":[]}]'),
        b"[" * 100_000,
    ):
        path.write_bytes(data)
        with pytest.raises(DumpError):
            read(str(path), ME, 1)
    path.write_bytes(b"")
    os.truncate(path, dumps.LARGEST_DUMP * 4)
    with pytest.raises(DumpError, match="too large"):
        read(str(path), ME, 1)


def test_dumps_without_a_box_are_swept(box: Box, tmp_path: Path) -> None:
    """And nothing else is."""
    folder = tmp_path / "boxes"
    kept = {beside(box.path, DUMP_SUFFIX), str(folder / "note.txt"), box.path}
    for name in ("1-1.dump", "1-1.dump.new", "note.txt"):
        (folder / name).touch()
    Path(beside(box.path, DUMP_SUFFIX)).touch()
    sweep(str(folder))
    assert {str(path) for path in folder.iterdir()} == kept


def test_stacks_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with thousands of threads still makes a dump."""
    monkeypatch.setattr(dumps, "MOST_DUMPED_FRAMES", 0)
    found = compose(1)
    assert found.threads == []
    assert found.left_out >= 0
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(compose, 1).result().left_out >= 1
