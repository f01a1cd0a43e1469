"""Where canonical lines and warnings go, whatever the application does to files and loggers."""

from __future__ import annotations

import io
import logging
import logging.config
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from slowhound.gunicorn.logger import AccessStream
from slowhound.runtime import own_log
from slowhound.sinks import stream


def test_view_that_redirects_standard_output_gets_no_line_of_other_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To what was standard output at the start, unless a test captures it."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(stream, "is_under_test", lambda: False)
    with open(tmp_path / "out", "w") as out, redirect_stdout(out):
        write = stream.standard_output()
        with redirect_stdout(io.StringIO()) as captured:
            print("the view's own")
            write("of another request", [])
    assert captured.getvalue() == "the view's own\n"
    assert (tmp_path / "out").read_text() == "of another request\n"


def test_stream_that_is_renamed_and_made_again_goes_on_in_the_new_file(tmp_path: Path) -> None:
    """As logrotate does it; the hound reopens it."""
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    write, file = stream.to_file(str(log))
    write("one", [])
    log.rename(old)
    log.touch()
    assert file is not None
    file.tend()
    write("two", [])
    assert file is not None
    file.close()
    assert (old.read_text(), log.read_text()) == ("one\n", "two\n")


@pytest.mark.parametrize("name", ["log", "/proc/self/fd/{}", "/dev/fd/{}", "link"])
def test_stream_may_be_a_link_to_a_file_or_to_a_descriptor(tmp_path: Path, name: str) -> None:
    """Such as ``/dev/stdout``, and ``access.log`` in a container, which is a link to that."""
    log, link = tmp_path / "real.log", tmp_path / "link.log"
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    target = str(log) if name == "log" else f"/proc/self/fd/{number}"
    link.symlink_to(target)
    path = str(link) if name in ("log", "link") else name.format(number)
    write, file = stream.to_file(path)
    write("one", [])
    os.close(number)
    if file is not None:
        file.close()
    assert log.read_text() == "one\n"


def test_descriptor_that_is_no_file_has_lines_and_goes_on_to_wait() -> None:
    """A socket, such as the journal's, cannot be opened; its flags stay as they were."""
    ours, other = socket.socketpair()
    with ours, other:
        write, file = stream.to_file(f"/proc/self/fd/{ours.fileno()}")
        write("one", [])
        assert file is None
        assert os.get_blocking(ours.fileno())
        assert other.recv(100) == b"one\n"


class NoOrders(logging.Filter):
    """Leaves lines of one path out."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "/orders/" not in record.getMessage()


@contextmanager
def access_log(path: Path) -> Iterator[logging.Logger]:
    """The logger as Gunicorn makes it: one plain handler, without those of pytest."""
    log = logging.getLogger("gunicorn.access")
    before = (log.handlers[:], log.level, log.propagate, log.disabled)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = log.disabled = False
    try:
        yield log
    finally:
        logging.disable(logging.NOTSET)
        handler.close()
        log.filters.clear()
        log.handlers[:], level, log.propagate, log.disabled = before
        log.setLevel(level)


DASHED = logging.Formatter("- %(message)s")
CHANGES: dict[str, Callable[[logging.Logger], Any]] = {
    "nothing": lambda log: None,
    "level of the logger": lambda log: log.setLevel(logging.WARNING),
    "level of the handler": lambda log: log.handlers[0].setLevel(logging.WARNING),
    "filter of the logger": lambda log: log.addFilter(NoOrders()),
    "filter of the handler": lambda log: log.handlers[0].addFilter(NoOrders()),
    "logging.disable": lambda log: logging.disable(logging.INFO),
    "propagate": lambda log: setattr(log, "propagate", True),
    "another formatter": lambda log: log.handlers[0].setFormatter(DASHED),
    "another handler": lambda log: log.addHandler(log.handlers[0]),
    "disabled": lambda log: setattr(log, "disabled", True),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_settings_of_the_access_log_hold_for_canonical_lines(
    change: Callable[[logging.Logger], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As for Gunicorn's own line: level, filters, handlers, propagate and logging.disable."""
    path, lines = tmp_path / "access.log", ["GET /orders/", "GET /cart/"]

    def written(write: Callable[[str], object]) -> tuple[str, int]:
        path.write_text("")
        caplog.clear()
        for line in lines:
            write(line)
        return path.read_text(), len(caplog.records)

    with access_log(path) as log:
        ours = AccessStream()
        assert ours.plain
        change(log)
        own = written(lambda line: log.info("%s", line))
        assert written(lambda line: ours(line, [])) == own


def test_warnings_survive_loggers_that_a_configuration_disables(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """``dictConfig`` disables each existing logger: warnings go to standard error."""
    own_log.warn("slowhound: as %s", "ever")
    assert [record.getMessage() for record in caplog.records] == ["slowhound: as ever"]
    try:
        logging.config.dictConfig({"version": 1})
        own_log.warn("slowhound: cannot %s", "write")
    finally:
        for each in logging.Logger.manager.loggerDict.values():
            if isinstance(each, logging.Logger):
                each.disabled = False
    assert capsys.readouterr().err == "slowhound: cannot write\n"
    assert sys.stderr is not None
