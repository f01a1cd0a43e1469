"""Views whose response is streamed, a file, large or empty."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse

from tests.site.gates import wait_at
from tests.site.options import SCRATCH


class StreamBroke(Exception):
    """The source of a stream failed."""


def stream(_request: HttpRequest, chunks: int, size: int) -> StreamingHttpResponse:
    return StreamingHttpResponse(b"x" * size for _ in range(chunks))


def stream_pauses(_request: HttpRequest, chunks: int) -> StreamingHttpResponse:
    """Pauses for a tenth of a second before each chunk but the first."""

    def parts() -> Iterator[bytes]:
        yield b"first"
        for _ in range(chunks - 1):
            time.sleep(0.1)
            yield b"chunk"

    return StreamingHttpResponse(parts())


def stream_endless(_request: HttpRequest) -> StreamingHttpResponse:
    """Streams until the client has left."""

    def parts() -> Iterator[bytes]:
        yield b"begin"
        end = time.monotonic() + 40
        while time.monotonic() < end:
            time.sleep(0.01)
            yield b"." * 1000

    return StreamingHttpResponse(parts())


def stream_gated(_request: HttpRequest, gate: str) -> StreamingHttpResponse:
    """Waits at a gate in the middle of its body."""

    def gated_parts() -> Iterator[bytes]:
        yield b"before"
        wait_at(gate)  # mark: gated stream
        yield b"after"

    return StreamingHttpResponse(gated_parts())


def stream_breaks(_request: HttpRequest) -> StreamingHttpResponse:
    """Fails after two chunks."""

    def parts() -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        raise StreamBroke("the source is gone")  # mark: breaks

    return StreamingHttpResponse(parts())


def file(_request: HttpRequest, size: int) -> FileResponse:
    path = SCRATCH / f"file-{size}"
    if not path.exists():
        # Complete when it appears: another request may be sending it.
        draft = path.with_suffix(f".{threading.get_ident()}-{os.getpid()}")
        draft.write_bytes(b"f" * size)
        draft.rename(path)
    return FileResponse(path.open("rb"))


def large(_request: HttpRequest, size: int) -> HttpResponse:
    return HttpResponse(b"l" * size)


def empty(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)
