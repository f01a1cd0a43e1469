"""The answer to a person's SQL, read from ClickHouse no further than it may become large.

It comes into the memory of the process that asks, which may be a worker. The engine's own bounds do
not hold there: it counts a constant once that is in each row. So it is asked for text, a line each
row, which is read in small parts, and weighed before it becomes values.
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
from slowhound.store.adhoc_child import LARGEST, VALUE, bounded_columns, bounded_value
from slowhound.store.answer import Answer, StoreError

FORMAT = "JSONCompactEachRowWithNames"
SETTINGS = {"output_format_json_quote_64bit_integers": 0}  # numbers as numbers
PART = 64 * 1024  # bytes that are read at once
SIGNS = b"[{,:"  # one of them stands before each value
# What the engine says behind the rows that it has sent, if it fails later.
FAILED = re.compile(rb"Code: \d+\. DB::Exception: [^\r\n]*")
_decode = msgspec.json.Decoder(list[Any]).decode


def received(stream: Any, until: float = math.inf) -> bytes:
    """What comes through the library's ``raw_stream``, or some more than ``LARGEST`` of it.

    Raises:
        StoreError: it broke off, or was not all there at ``until``.
    """
    data, late = bytearray(), False
    try:
        for part in _parts(stream):
            data += part
            late = clock.monotonic() > until
            if len(data) > LARGEST or late:
                break
    except Exception as exc:
        raise _broken_off(data) from exc
    finally:
        stream.close()  # the engine ends what nobody reads
    if late:
        raise _broken_off(data)
    return bytes(data)


def _parts(stream: Any) -> Iterable[bytes]:
    if isinstance(stream, io.RawIOBase | io.BufferedIOBase):  # of an engine in this process
        return iter(partial(stream.read, PART), b"")
    parts: Iterator[bytes] = stream.stream(PART)  # urllib3's: what came before it broke comes first
    return parts


def answer(data: bytes, rows: int) -> Answer:
    """The first rows of what was received.

    Raises:
        StoreError: the engine has failed behind the first rows.
    """
    head, *lines = data.split(b"\n")
    too_large = len(data) > LARGEST
    if lines and (too_large or not lines[-1]):
        lines.pop()  # a part of a row, or nothing
    columns = bounded_columns(_values(head, data))
    found: list[tuple[Any, ...]] = []
    size = 0
    for line in lines:
        if len(found) == rows:
            return Answer(columns, found, (f"only the first {rows} rows are shown",))
        size += len(line) + VALUE * sum(line.count(sign) for sign in SIGNS)
        if size > LARGEST:
            too_large = True
            break
        values = _values(line, data)
        if len(values) != len(columns):
            raise _broken_off(data)
        found.append(tuple(bounded_value(each) for each in values))
    remark = f"only the first {len(found)} rows are shown: all are more than 8 MB"
    return Answer(columns, found, (remark,) if too_large else ())


def _values(line: bytes, data: bytes) -> list[Any]:
    try:
        return _decode(line)
    except NOT_JSON:
        pass
    try:  # a text may hold any bytes
        return _decode(line.decode("utf-8", "replace"))
    except NOT_JSON:
        raise _broken_off(data) from None


def _broken_off(data: bytes | bytearray) -> StoreError:
    said = FAILED.findall(data)
    return StoreError(said[-1].decode("utf-8", "replace") if said else "the answer broke off")
