"""Reads ASGI's scopes and messages, whatever types a server or a test has put into them.

A server written in another language, a test, and an application that calls another one may each use
types of their own: header names as ``bytearray``, headers of three parts, a named tuple for the
client. Only the stored data is read; none of their methods is called.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from types import WrapperDescriptorType
from typing import Any

from slowhound.redaction.plain_data import as_int, as_text
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.static_lookup import MISSING, in_classes


def environ_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The values that a record reads from a request, under their WSGI names."""
    environ = {
        "wsgi.url_scheme": _text(scope.get("scheme", "http")),
        "QUERY_STRING": _text(scope.get("query_string", b"")),
    }
    client = _members(scope.get("client"))
    if client:
        environ["REMOTE_ADDR"] = _text(client[0])
    for name, value in _headers(scope.get("headers")):
        wanted = _HEADERS.get(name)
        if wanted is not None:
            environ[wanted] = _text(value)
    return environ


def _members(thing: Any) -> list[Any]:
    """The members of a list or a tuple; any other iterable could only be read once."""
    kind = type(thing)
    if issubclass(kind, list):
        return list(list.__iter__(thing))
    return list(tuple.__iter__(thing)) if issubclass(kind, tuple) else []


def _headers(headers: Any) -> Iterator[tuple[bytes, Any]]:
    """Lower-case names with their values; what is not a header is left out."""
    for each in _members(headers):
        header = _members(each)
        name = _bytes(header[0]) if len(header) > 1 else None
        if name is not None:
            yield name.lower(), header[1]


def _bytes(value: Any) -> bytes | None:
    """The data of a bytes-like value; None for any other value."""
    kind = type(value)
    if kind is bytes:
        return value  # type: ignore[no-any-return]
    if kind is memoryview:
        return memoryview.tobytes(value)
    for known in (bytes, bytearray):
        if issubclass(kind, known):
            return bytes(known.__getitem__(value, slice(None)))
    return None


def _text(value: Any) -> str:
    found = _bytes(value)
    return as_text("" if value is None else value) if found is None else found.decode("latin-1")


_HEADERS = {
    b"host": "HTTP_HOST",
    b"referer": "HTTP_REFERER",
    b"referrer": "HTTP_REFERRER",
    b"user-agent": "HTTP_USER_AGENT",
    b"content-length": "CONTENT_LENGTH",
    b"x-request-start": "HTTP_X_REQUEST_START",
    b"x-queue-start": "HTTP_X_QUEUE_START",
    b"traceparent": "HTTP_TRACEPARENT",
}


def length_of(message: Mapping[str, Any]) -> int | None:
    """The length that the message declares for the body."""
    for name, value in _headers(message.get("headers")):
        if name == b"content-length":
            found = _bytes(value)
            return as_int(value if found is None else found)
    return None


def size_of(kind: str, message: Mapping[str, Any]) -> int:
    """The bytes of a part as sent; 0 where that would run code of the application."""
    if kind == "http.response.pathsend":
        path = message.get("path")
        return _size_of(path if type(path) is bytes else as_text(path))
    if kind == "http.response.zerocopysend":
        rest = _size_of(_descriptor(message.get("file"))) - (as_int(message.get("offset")) or 0)
        count = as_int(message.get("count"))
        return max(rest, 0) if count is None else min(count, max(rest, 0))
    data = next((each for each in map(message.get, _DATA) if each is not None), b"")
    return len(data) if type(data) is bytes else bytes_in(data)


def bytes_in(data: Any) -> int:
    """The bytes of a part, or of a text in UTF-8; 0 where that would run other code."""
    if issubclass(type(data), str):
        return len(str.encode(data, "utf-8", "surrogatepass"))
    for known in (bytes, bytearray):
        if issubclass(type(data), known):
            return known.__len__(data)
    exports = in_classes(type(data), "__buffer__")  # there is one from Python 3.12 on
    if exports is not MISSING and type(exports) is not WrapperDescriptorType:
        return 0
    try:
        with memoryview(data) as view:
            return view.nbytes
    except TypeError as exc:
        if is_foreign(exc):
            raise
        return 0


# The first of these keys that the message has.
_DATA = ("bytes", "body", "text")


def _size_of(file: str | bytes | int) -> int:
    try:
        return os.stat(file).st_size
    except (OSError, ValueError) as exc:  # it is gone by now
        if is_foreign(exc):
            raise
        return 0


def _descriptor(file: Any) -> int:
    """The descriptor of a file of Python's own, or of a temporary file around one; else -1."""
    for each in (file, attribute_or(file, "file")):
        for kind in (io.FileIO, io.BufferedReader, io.BufferedRandom):
            if issubclass(type(each), kind):
                return kind.fileno(each)
    return -1
