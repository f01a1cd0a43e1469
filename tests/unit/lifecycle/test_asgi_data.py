"""Scopes and messages of ASGI with values of any type are read without calling them."""

from __future__ import annotations

import array
import asyncio
import mmap
import tempfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slowhound.asgi import wrap
from slowhound.lifecycle.asgi_data import environ_of, length_of, size_of
from slowhound.system import guard
from slowhound.testing import capture_events
from tests.harness import hostile

Address = namedtuple("Address", "host port")  # noqa: PYI024  as Starlette has it
# Functions that put any value into a scope, or into a message.
IN_SCOPES: tuple[Callable[[Any], dict[str, Any]], ...] = (
    lambda value: {"headers": [(value, b"x")]},
    lambda value: {"headers": [(b"host", value)]},
    lambda value: {"headers": [value]},
    lambda value: {"client": value},
    lambda value: {"client": [value, 1]},
    lambda value: {"query_string": value},
    lambda value: {"scheme": value},
)
IN_MESSAGES: tuple[tuple[str, Callable[[Any], dict[str, Any]]], ...] = (
    ("http.response.body", lambda value: {"body": value}),
    ("http.response.pathsend", lambda value: {"path": value}),
    ("http.response.zerocopysend", lambda value: {"file": value}),
    ("http.response.zerocopysend", lambda value: {"file": 0, "offset": value, "count": value}),
    ("websocket.send", lambda value: {"bytes": value}),
    ("websocket.send", lambda value: {"text": value}),
)


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


async def _nothing(*_: Any) -> Any:
    return {"type": "http.request", "body": b""}


def asked(**more: Any) -> dict[str, Any]:
    """A scope."""
    path = {"path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    return {"type": "http", "method": "GET", **path, **more}


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_scope_may_hold_anything(number: int) -> None:
    """Whatever a scope contains, its environ has texts, and no code of its values runs."""
    for place in IN_SCOPES:
        scope = asked(**place(hostile.MAKERS[number]()))
        hostile.called.clear()
        assert all(type(each) is str for each in environ_of(scope).values())
        assert hostile.called == []


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_message_may_hold_anything(number: int) -> None:
    """Whatever a message contains, its size is a number, and no code of its values runs."""
    for kind, place in IN_MESSAGES:
        message = place(hostile.MAKERS[number]())
        hostile.called.clear()
        assert type(size_of(kind, message)) is int
        assert hostile.called == []
    for headers in ([(b"content-length", hostile.MAKERS[number]())], hostile.MAKERS[number]()):
        hostile.called.clear()
        assert type(length_of({"headers": headers})) in (int, type(None))
        assert hostile.called == []


@pytest.mark.parametrize(
    "header",
    [
        (b"host", b"shop"),
        [b"Host", bytearray(b"shop"), False],
        (bytearray(b"host"), memoryview(b"shop")),
        (memoryview(bytearray(b"host")), "shop"),
    ],
)
def test_header_of_any_shape_is_read(header: Any) -> None:
    """A header may be of bytes of any kind, and have the third part of HTTP/2."""
    assert environ_of(asked(headers=(header,)))["HTTP_HOST"] == "shop"
    length = [b"Content-Length", b"7"] if len(header) > 2 else (bytearray(b"content-length"), b"7")
    assert length_of({"headers": [header, length]}) == 7


@pytest.mark.parametrize("client", [("10.0.0.1", 1), ["10.0.0.1", 1], Address("10.0.0.1", 1)])
def test_client_is_a_pair_of_any_kind(client: Any) -> None:
    """The first part of a list or tuple is the client's address."""
    assert environ_of(asked(client=client))["REMOTE_ADDR"] == "10.0.0.1"


@pytest.mark.parametrize("client", [None, 5, "10.0.0.1", (), []])
def test_client_that_is_no_pair_is_left_out(client: Any) -> None:
    """A client that is no pair costs no other field."""
    assert "REMOTE_ADDR" not in environ_of(asked(client=client))


@pytest.mark.parametrize(
    ("message", "size"),
    [
        ({"body": b"four"}, 4),
        ({"body": bytearray(b"four")}, 4),
        ({"body": memoryview(array.array("I", [1]))}, 4),
        ({"body": mmap.mmap(-1, 16)}, 16),
        ({"body": hostile.of(bytes, b"four")}, 4),
        ({"bytes": None, "text": "drei\xe4"}, 6),
        ({"text": hostile.of(str, "four")}, 4),
        ({"body": None}, 0),
        ({}, 0),
    ],
)
def test_size_is_that_of_the_bytes(message: dict[str, Any], size: int) -> None:
    """The size is that of the bytes, in any object that has some."""
    hostile.called.clear()
    assert size_of("http.response.body", message) == size
    assert hostile.called == []


def test_size_of_a_file_is_that_of_what_is_sent(tmp_path: Path) -> None:
    """A file is measured by its path or its descriptor; one that is gone counts 0."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    for each in (str(path), bytes(path), path):
        assert size_of("http.response.pathsend", {"path": each}) == 10
    assert size_of("http.response.pathsend", {"path": str(tmp_path / "gone")}) == 0
    kind = "http.response.zerocopysend"
    with path.open("rb") as file:
        assert size_of(kind, {"file": file, "offset": 4}) == 6
        assert size_of(kind, {"file": file, "count": 3}) == 3
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"four")
        file.flush()
        assert size_of(kind, {"file": file}) == 4


@pytest.mark.parametrize(
    "odd",
    [
        {"headers": [(bytearray(b"host"), b"x")]},
        {"headers": [[b"host", b"x", False]]},
        {"headers": [5]},
        {"client": 5},
    ],
)
def test_request_of_an_odd_scope_has_its_event(odd: dict[str, Any], configure: Any) -> None:
    """A request with an odd scope has its event, and nothing of slowhound's fails."""
    configure()
    with capture_events() as events:
        asyncio.run(wrap(_answer)(asked(**odd), _nothing, _nothing))  # type: ignore[arg-type]
    (event,) = events
    assert (event["resp_status"], event["resp_outcome"]) == (200, "ok")
    assert guard.total == 0
