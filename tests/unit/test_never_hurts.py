"""Every part of slowhound is made to fail in turn; the response stays byte for byte the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import CacheHandler
from django.test import Client

from slowhound import formats, guard, recorder, redact, stacks
from slowhound.appendfile import AppendFile
from slowhound.blackbox import Box
from slowhound.instrument import cache, db, exception, gc, http, request, template
from slowhound.instrument.saturation import Saturation
from slowhound.record import Record
from slowhound.recorder import Recorder
from slowhound.registry import instrumenters
from slowhound.sinks import stream

PATHS = [
    "/",
    "/queries/",
    "/cached/",
    "/fails/",
    "/denied/",
    "/template/",
    "/stream/",
    "/context/",
    "/partial/",
    "/missing/",
]

PARTS: list[tuple[Any, str]] = [
    (Recorder, "begin"),
    (Recorder, "emit"),
    (Recorder, "write"),
    (Recorder, "start"),
    (Recorder, "_conclude"),
    (Recorder, "_keep"),
    (Record, "__init__"),
    (Record, "note"),
    (Record, "view"),
    (db, "_count"),
    (db, "describe"),
    (db, "details"),
    (db, "wrap_thread"),
    (db, "calling_line"),
    (cache, "_count"),
    (cache, "describe"),
    (cache, "wrap_thread"),
    (cache, "_wrap"),
    (cache, "own_time"),
    (template, "own_time"),
    (template, "describe"),
    (exception, "locate"),
    (exception, "fields_of"),
    (exception, "innermost_template"),
    (exception, "describe"),
    (gc, "describe"),
    (http, "describe"),
    (request, "describe_request"),
    (request, "describe_response"),
    (Saturation, "inside"),
    (formats, "logfmt"),
    (formats, "json_line"),
    (AppendFile, "write"),
    (AppendFile, "open"),
    (AppendFile, "tend"),
    (Box, "__init__"),
    (stream, "to_stdout"),
    (stacks, "from_frame"),
    (redact, "sql_shape"),
]  # fmt: skip


class BoomError(Exception):
    """What every part raises here."""


def raises(*args: Any, **kwargs: Any) -> Any:
    raise BoomError


@pytest.fixture(autouse=True)
def _quiet(_fresh: None) -> Iterator[None]:
    """A production guard: it catches."""
    guard.loud = False
    yield
    guard.loud = True


def responses(client: Client) -> list[tuple[int, bytes, dict[str, str]]]:
    found = []
    for path in PATHS:
        response = client.get(path)
        body = response.getvalue() if response.streaming else response.content  # type: ignore[attr-defined]
        response.close()
        found.append((response.status_code, body, dict(response.headers)))
    return found


@pytest.fixture
def untouched(client: Client, configure: Any) -> Callable[[], Any]:
    """The responses without slowhound."""
    configure(ENABLED=False)
    expected = responses(client)
    configure(STREAM="auto")
    return lambda: expected


@pytest.mark.parametrize(
    ("owner", "name"), PARTS, ids=[f"{getattr(o, '__name__', o)}.{n}" for o, n in PARTS]
)
def test_part_that_fails_never_hurts(
    owner: Any, name: str, client: Client, untouched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application's responses are the same, with the part broken from the first request on."""
    broken = property(raises) if isinstance(getattr(owner, name), property) else raises
    monkeypatch.setattr(owner, name, broken)
    assert responses(Client(raise_request_exception=False)) == untouched()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["open", "write", "makedirs", "lstat", "fstat", "posix_fallocate"])
def test_file_operation_that_fails_never_hurts(
    call: str, number: int, untouched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does a disk that is full, read-only, foreign or broken."""

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    expected = untouched()
    with monkeypatch.context() as patched:  # not longer: pytest's own capture uses fstat
        patched.setattr(os, call, fails)
        found = responses(Client(raise_request_exception=False))
    assert found == expected


def test_instrumenter_of_the_application_that_fails_never_hurts(untouched: Any) -> None:
    """Nor one that the application registered."""

    class Fails:
        setup = call = raises

    instrumenters["Fails"] = Fails()  # type: ignore[assignment]
    try:
        assert responses(Client(raise_request_exception=False)) == untouched()
    finally:
        del instrumenters["Fails"]


def test_installing_that_fails_never_hurts(untouched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instrumenter that cannot be installed is left out."""
    for module in (cache, db, exception, gc, http, template):
        monkeypatch.setattr(module, "install", raises)
    assert responses(Client(raise_request_exception=False)) == untouched()
    assert recorder.get() is not None


def test_cache_handler_is_put_back() -> None:
    """After a stop nothing of Django is patched."""
    recorder.stop()
    assert CacheHandler.create_connection is cache._create_connection
