"""Views of every kind, each of which keeps the id that slowhound has for its request."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator

from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    StreamingHttpResponse,
)
from django.test import Client
from django.views.decorators.csrf import csrf_exempt

from slowhound import Context
from tests.site.gates import LONGEST
from tests.site.options import SCRATCH
from tests.site.views import bodies
from tests.site.views.errors import OhNoes

SEEN = SCRATCH / "seen.jsonl"


def keep(request: HttpRequest, began: float) -> None:
    """Appends a line to a file: the User-Agent, the id that slowhound has for it, and the time."""
    seen = {
        "agent": request.headers["User-Agent"],
        "id": Context.get("id", namespace="req"),
        "took": time.monotonic() - began,
    }
    descriptor = os.open(SEEN, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    try:
        os.write(descriptor, json.dumps(seen).encode() + b"\n")
    finally:
        os.close(descriptor)


def sleep(request: HttpRequest, ms: int) -> None:
    began = time.monotonic()
    if ms:
        time.sleep(ms / 1000)
    keep(request, began)


async def asleep(request: HttpRequest, ms: int) -> None:
    """The same for coroutines."""
    began = time.monotonic()
    await asyncio.sleep(ms / 1000)
    keep(request, began)


def plain(request: HttpRequest, size: int, ms: int) -> HttpResponse:
    sleep(request, ms)
    return HttpResponse(b"p" * size)


@csrf_exempt
def posted(request: HttpRequest) -> HttpResponse:
    """Responds with the number of bytes that were sent."""
    sleep(request, 0)
    return HttpResponse(request.body)


def stream(request: HttpRequest, chunks: int, size: int, ms: int) -> StreamingHttpResponse:
    sleep(request, 0)

    def parts() -> Iterator[bytes]:
        for number in range(chunks):
            if number:
                sleep(request, ms)
            yield b"s" * size

    return StreamingHttpResponse(parts())


def late(request: HttpRequest, size: int, ms: int) -> StreamingHttpResponse:
    """Goes on after the last byte, as when a file or an upstream connection is closed."""

    def parts() -> Iterator[bytes]:
        yield b"l" * size
        keep(request, time.monotonic())
        time.sleep(ms / 1000)

    return StreamingHttpResponse(parts(), headers={"Content-Length": str(size)})


def endless(request: HttpRequest) -> StreamingHttpResponse:
    sleep(request, 0)
    return bodies.stream_endless(request)


def file(request: HttpRequest, size: int) -> FileResponse:
    sleep(request, 0)
    return bodies.file(request, size)


def unchanged(request: HttpRequest) -> HttpResponse:
    sleep(request, 0)
    return HttpResponseNotModified()


def fails(request: HttpRequest, ms: int) -> HttpResponse:
    sleep(request, ms)
    raise OhNoes("of many")


def calls(request: HttpRequest) -> HttpResponse:
    """Calls the site itself, in process."""
    began = time.monotonic()
    agent = f"{request.headers['User-Agent']}-inner"
    # Not raised: the test client would also raise an exception of another thread.
    answer = Client(raise_request_exception=False).get("/plain/3/0/", headers={"User-Agent": agent})
    keep(request, began)
    return HttpResponse(answer.content * 2)


def missing(request: HttpRequest) -> HttpResponse:
    sleep(request, 0)
    raise Http404


async def aplain(request: HttpRequest, size: int, ms: int) -> HttpResponse:
    await asleep(request, ms)
    return HttpResponse(b"p" * size)


async def astream(request: HttpRequest, chunks: int, size: int, ms: int) -> StreamingHttpResponse:
    await asleep(request, 0)

    async def parts() -> AsyncIterator[bytes]:
        for number in range(chunks):
            if number:
                await asleep(request, ms)
            yield b"s" * size

    return StreamingHttpResponse(parts())


async def alate(request: HttpRequest, size: int, ms: int) -> StreamingHttpResponse:
    """See `late`."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"l" * size
        keep(request, time.monotonic())
        await asyncio.sleep(ms / 1000)

    return StreamingHttpResponse(parts(), headers={"Content-Length": str(size)})


async def aendless(request: HttpRequest) -> StreamingHttpResponse:
    await asleep(request, 0)

    async def parts() -> AsyncIterator[bytes]:
        yield b"begin"
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            await asyncio.sleep(0.01)
            yield b"." * 1000

    return StreamingHttpResponse(parts())


async def afails(request: HttpRequest, ms: int) -> HttpResponse:
    await asleep(request, ms)
    raise OhNoes("of many coroutines")
