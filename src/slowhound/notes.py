"""What is written into a black box, and how it is read back.

A note is JSON that fits its area. It may be read by another version of slowhound, after a crash:
reading never raises, what is missing or broken is left out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from slowhound.blackbox import HALF_STACK, HALF_WHO
from slowhound.config import Config
from slowhound.formats import clean
from slowhound.frames import Stack, locate
from slowhound.record import Record

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
FRAMES = 12


def settings_note(config: Config, server: str) -> bytes:
    """How this process writes events: what its arbiter needs to write one in its place."""
    return _encode(
        {
            "format": config.format,
            "stream": config.stream,
            "dir": config.dir if config.store else None,
            "store_max_bytes": config.store_max_bytes,
            "host": config.host,
            "service": config.service,
            "release": config.release,
            "server": server,
        }
    )


def first_note(record: Record) -> bytes:
    """The request as it is known at its first sight; takes half the time of ``who_note``."""
    path = record.path
    encoded = b""
    if len(path) <= 300 and path.isascii():
        encoded = _encode(
            {
                "id": record.id,
                "method": record.method,
                "path": path,
                "started": record.started,
            }
        )
    return encoded if 0 < len(encoded) <= HALF_WHO - 16 else who_note(record)


def who_note(record: Record) -> bytes:
    """The request as far as it is known; long texts are cut, so that the whole fits."""
    for limit in (300, 60, 15):
        environ = record.environ or {}
        note = {
            "id": record.id,
            "method": _cut(record.method, 20),
            "path": _cut(record.path, limit),
            "started": record.started,
            "referrer": _cut(environ.get("HTTP_REFERER"), limit // 2),
            "user_agent": _cut(environ.get("HTTP_USER_AGENT"), limit // 2),
            "view": _cut(record.view, limit // 2),
        }
        encoded = _encode(note)
        if len(encoded) <= HALF_WHO - 16:
            break
    return encoded


def stack_note(stack: Stack, taken: float, counts: dict[str, Any]) -> bytes:
    """The innermost frames of a stack, its locations, when it was taken, and the counts so far."""
    loc, cause = locate(stack)
    for frames, limit in ((FRAMES, 120), (4, 60), (0, 20)):
        note = {
            "taken": taken,
            "loc": _cut(loc, limit),
            "cause": _cut(cause, limit),
            "stack": [_cut(str(frame), limit) for frame in stack[len(stack) - frames :]],
            **counts,
        }
        encoded = _encode(note)
        if len(encoded) <= HALF_STACK - 24:
            break
    return encoded


def _cut(text: Any, limit: int) -> str | None:
    return None if text is None else clean(text)[:limit]


def read_note(note: bytes) -> dict[str, Any]:
    """A note as a dict; empty when it cannot be read."""
    try:
        return _decode(note)
    except (msgspec.DecodeError, ValueError):
        return {}
