"""Reads the answer to ad-hoc SQL from ClickHouse, up to a maximum size.

The answer is held in the memory of this process, which may be a worker. The server's own limits do
not bound it: the server counts a constant once that is in every row. So the server sends text with
one line for each row; it is read in small parts, and measured before values are made of it.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import msgspec

from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import NOT_JSON
from slowhound.store.adhoc_child import (
    LARGEST_ANSWER,
    VALUE_OVERHEAD,
    bounded_columns,
    bounded_value,
)
from slowhound.store.answer import Answer, StoreError

FORMAT = "JSONCompactEachRowWithNames"
OUTPUT_SETTINGS = {"output_format_json_quote_64bit_integers": 0}  # numbers as numbers
READ_SIZE = 64 * 1024  # bytes
SEPARATORS = b"[{,:"  # one of them precedes each value
# Follows the rows that were sent, when the query fails later.
SERVER_ERROR = re.compile(rb"Code: \d+\. DB::Exception: [^\r\n]*")
_decode = msgspec.json.Decoder(list[Any]).decode


def read_bounded(stream: Any, until: float = math.inf) -> bytes:
    """The data of the library's ``raw_stream``, up to a bit more than ``LARGEST_ANSWER``.

    Raises:
        StoreError: it was cut off, or was not complete at ``until``.
    """
    data, late = bytearray(), False
    try:
        for part in _parts(stream):
            data += part
            late = clock.monotonic() > until
            if len(data) > LARGEST_ANSWER or late:
                break
    except Exception as exc:
        raise _cut_off(data) from exc
    finally:
        stream.close()  # makes the server stop
    if late:
        raise _cut_off(data)
    return bytes(data)


def _parts(stream: Any) -> Iterable[bytes]:
    if isinstance(stream, io.RawIOBase | io.BufferedIOBase):  # chdb, in this process
        return iter(partial(stream.read, READ_SIZE), b"")
    # Of urllib3: all that arrived before an error.
    parts: Iterator[bytes] = stream.stream(READ_SIZE)
    return parts


def parse_answer(data: bytes, rows: int) -> Answer:
    """The first rows of the received data.

    Raises:
        StoreError: the query failed after the first rows.
    """
    head, *lines = data.split(b"\n")
    too_large = len(data) > LARGEST_ANSWER
    if lines and (too_large or not lines[-1]):
        lines.pop()  # an incomplete row, or empty
    columns = bounded_columns(_values(head, data))
    found: list[tuple[Any, ...]] = []
    size = 0
    for line in lines:
        if len(found) == rows:
            return Answer(columns, found, (f"only the first {rows} rows are shown",))
        size += len(line) + VALUE_OVERHEAD * sum(line.count(sign) for sign in SEPARATORS)
        if size > LARGEST_ANSWER:
            too_large = True
            break
        values = _values(line, data)
        if len(values) != len(columns):
            raise _cut_off(data)
        found.append(tuple(bounded_value(each) for each in values))
    remark = f"only the first {len(found)} rows are shown: all are more than 8 MB"
    return Answer(columns, found, (remark,) if too_large else ())


def _values(line: bytes, data: bytes) -> list[Any]:
    try:
        return _decode(line)
    except NOT_JSON:
        pass
    try:  # a text may contain any bytes
        return _decode(line.decode("utf-8", "replace"))
    except NOT_JSON:
        raise _cut_off(data) from None


def _cut_off(data: bytes | bytearray) -> StoreError:
    errors = SERVER_ERROR.findall(data)
    return StoreError(errors[-1].decode("utf-8", "replace") if errors else "the answer was cut off")
