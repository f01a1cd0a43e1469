"""Source lines for reports: from files, and never from a loader of the application's."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slowhound.frames import Frame
from slowhound.sinks import sentry_event
from slowhound.sourcelines import source_line, source_lines
from slowhound.watch import source_places

NOWHERE = "/nowhere/secret.py"


class Loader:
    """Would decrypt the source, or fetch it from a database."""

    def get_source(self, name: str) -> str:
        raise AssertionError(f"was asked for {name}")


@pytest.fixture(autouse=True)
def promised() -> Iterator[None]:
    """What a traceback of the application's leaves for each module that it has seen."""
    assert linecache.lazycache(NOWHERE, {"__name__": "secret", "__loader__": Loader()})
    yield
    linecache.cache.pop(NOWHERE, None)


def held(code: Any) -> Any:
    return source_places._text(code, (1, 1, 0, 4))


@pytest.mark.parametrize(
    ("look", "nothing"),
    [
        (lambda: source_lines(NOWHERE), []),
        (lambda: Frame(NOWHERE, 1, "view").source, ""),
        (lambda: "context_line" in sentry_event._frame(Frame(NOWHERE, 1, "view")), False),
        (lambda: held(compile("pass", NOWHERE, "exec")), ""),
    ],
    ids=["lines", "frame", "sentry", "lock"],
)
def test_loader_is_not_asked_for_what_is_in_no_file(look: Callable[[], Any], nothing: Any) -> None:
    """A line is missing then, and the application may still ask for it."""
    assert look() == nothing
    assert len(linecache.cache[NOWHERE]) == 1


def test_file_on_the_disk_is_read_though_a_loader_could_be_asked(tmp_path: Path) -> None:
    """Of modules in files, tracebacks leave the same entries."""
    file = tmp_path / "shop.py"
    file.write_text("first\nsecond\n")
    linecache.lazycache(str(file), {"__name__": "shop", "__loader__": Loader()})
    assert source_lines(str(file)) == ["first\n", "second\n"]
    assert source_line(str(file), 2) == "second\n"
    assert source_line(str(file), 0) == source_line(str(file), 3) == ""


def test_what_the_application_has_loaded_is_shown() -> None:
    """Lines that are already there need nobody."""
    linecache.cache[NOWHERE] = (4, None, ["line\n"], NOWHERE)
    assert source_lines(NOWHERE) == ["line\n"]
