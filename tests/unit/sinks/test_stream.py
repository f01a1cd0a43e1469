"""Lines on standard output, whose descriptor may become another file for a while."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from slowhound.sinks.stream import Output
from slowhound.system import losses


class Piped(NamedTuple):
    """Output that goes into a pipe."""

    write: Output
    reads: int

    def read(self) -> bytes:
        try:
            return os.read(self.reads, 10000)
        except BlockingIOError:
            return b""


@pytest.fixture
def piped() -> Iterator[Piped]:
    losses.reset()
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    yield Piped(Output(writes), reads)
    os.close(reads)
    os.close(writes)


FILES: dict[str, Callable[[Path], int]] = {
    "a temporary file": lambda path: tempfile.mkstemp(dir=path.parent)[0],
    "a file of data": lambda path: os.open(path, os.O_WRONLY | os.O_CREAT),
    "a pipe": lambda path: os.pipe()[1],
}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_no_line_goes_into_a_file_that_takes_the_place(
    piped: Piped, file: Callable[[Path], int], tmp_path: Path
) -> None:
    """The line is lost, which is logged; when the descriptor is back, lines are written again."""
    number, own = piped.write.descriptor, os.dup(piped.write.descriptor)
    other = file(tmp_path / "data.csv")
    os.dup2(other, number)
    piped.write("one", [])
    assert losses.dropped == 1
    assert os.fstat(other).st_size == 0
    assert piped.read() == b""
    os.dup2(own, number)
    piped.write("two", [])
    assert piped.read() == b"two\n"
    for each in (own, other):
        os.close(each)


def test_log_that_is_opened_again_gets_the_next_lines(piped: Piped, tmp_path: Path) -> None:
    """As Gunicorn and uWSGI do it, in append mode."""
    with open(tmp_path / "log", "ab") as log:
        os.dup2(log.fileno(), piped.write.descriptor)
        piped.write("one", [])
    assert (tmp_path / "log").read_bytes() == b"one\n"
    assert losses.dropped == 0


def test_number_that_was_free_at_the_start_is_not_written_to(tmp_path: Path) -> None:
    """A process without standard output: the next file that is opened gets its number."""
    losses.reset()
    fd = os.open(tmp_path / "data.csv", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.close(fd)
    write = Output(fd)
    assert os.open(tmp_path / "data.csv", os.O_WRONLY | os.O_APPEND) == fd
    write("one", [])
    os.close(fd)
    assert ((tmp_path / "data.csv").stat().st_size, losses.dropped) == (0, 1)


def test_whoever_waits_for_the_end_of_a_pipe_does_not_wait_for_us(piped: Piped) -> None:
    """No duplicate is held: an application that closes its output has closed it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, piped.write.descriptor)
    os.close(null)
    assert os.read(piped.reads, 1) == b""  # not "it would have to wait"
    piped.write("one", [])
    assert losses.dropped == 0
