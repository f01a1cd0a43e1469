"""Views with a function that takes nearly all of their time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from tests.site.views import basic, bodies, coroutines, db, errors, waiting

HOT, REST = 0.15, 0.01


def hot_spot(seconds: float = HOT) -> int:
    """Burns its thread's own CPU time."""
    end = time.thread_time() + seconds
    total = 0
    while time.thread_time() < end:
        total += 1
    return total


def hot(_request: HttpRequest) -> HttpResponse:
    time.sleep(REST)
    hot_spot()
    return HttpResponse("hot")


async def hot_later(_request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(REST)
    hot_spot()
    return HttpResponse("hot later")


def hot_body(_request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"first"
        hot_spot()
        yield b"last"

    return StreamingHttpResponse(parts())


async def hot_body_later(_request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(REST)
        hot_spot()
        yield b"last"

    return StreamingHttpResponse(parts())


urlpatterns = [
    path("ok/", basic.ok),
    path("hot/", hot, name="hot"),
    path("hot-later/", hot_later, name="hot-later"),
    path("hot-body/", hot_body, name="hot-body"),
    path("hot-body-later/", hot_body_later, name="hot-body-later"),
    path("gate/<slug:gate>/", waiting.gated, name="gate"),
    path("five/", db.five),
    path("raise/", errors.raises),
    path("file/<int:size>/", bodies.file),
    path("empty/", bodies.empty),
    path("stream-endless/", bodies.stream_endless),
    path("parts-endless/", coroutines.parts_endless),
]
