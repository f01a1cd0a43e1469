"""A site whose views are profiled, and what the tests read of a profile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    StreamingHttpResponse,
)
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from slowhound.flames import profile
from slowhound.flames.profile import UNSAMPLED
from slowhound.flames.sampling import session as module
from tests.harness.waiting import eventually

SITE = __name__
gates: dict[str, threading.Event] = {}
closed: list[str] = []
users: list[Any] = []


def hot(seconds: float = 0.1) -> int:
    end = time.thread_time() + seconds
    total = 0
    while time.thread_time() < end:
        total += 1
    return total


def busy(request: HttpRequest) -> HttpResponse:
    hot(float(request.GET.get("hot", 0.1)))
    response = HttpResponse(
        "busy", headers={"Link": "</a>; rel=next", "Server-Timing": "app;dur=1"}
    )
    response.set_cookie("seen", "1")
    response._resource_closers.append(lambda: closed.append("busy"))  # type: ignore[attr-defined]
    return response


async def busy_later(request: HttpRequest) -> HttpResponse:
    hot()
    return HttpResponse("busy later")


def queries(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        for number in range(3):
            cursor.execute("SELECT %s", [number])
    return HttpResponse("three")


def streams(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"one"
        hot(float(request.GET.get("hot", 0.1)))
        yield b"two"
        if "breaks" in request.GET:
            raise LookupError("in the body")

    return StreamingHttpResponse(parts())


def endless(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        try:
            while True:
                hot(0.01)
                yield b"."
        finally:
            closed.append("endless")

    return StreamingHttpResponse(parts())


async def streams_later(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> Any:
        yield b"one"
        hot()
        yield b"two"

    return StreamingHttpResponse(parts())


async def silent(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> Any:
        yield b"one"
        try:
            await asyncio.sleep(3600)
        finally:
            closed.append("silent")

    return StreamingHttpResponse(parts())


def sends_file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


def fails(request: HttpRequest) -> HttpResponse:
    raise ValueError("the view")


def denied(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def not_modified(request: HttpRequest) -> HttpResponse:
    return HttpResponseNotModified()


def moved(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=302, headers={"Location": request.GET["to"]})


def waits(request: HttpRequest) -> HttpResponse:
    gates["entered"].set()
    gates["open"].wait(30)
    return HttpResponse("waited")


def shows(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.GET.get("flames", "-"))


def public(request: HttpRequest) -> HttpResponse:
    return HttpResponse("public", headers={"Cache-Control": "public, max-age=600"})


def exits(request: HttpRequest) -> HttpResponse:
    raise SystemExit


urlpatterns = [
    path("busy/", busy),
    path("busy-later/", busy_later),
    path("public/", public),
    path("queries/", queries),
    path("streams/", streams),
    path("streams-later/", streams_later),
    path("endless/", endless),
    path("silent/", silent),
    path("file/", sends_file),
    path("fails/", fails),
    path("denied/", denied),
    path("not-modified/", not_modified),
    path("moved/", moved),
    path("waits/", waits),
    path("shows/", shows),
    path("exits/", exits),
]


class Users(MiddlewareMixin):
    """In place of Django's own middleware: the first of `users` is the user of the request."""

    def process_request(self, request: HttpRequest) -> None:
        if users:
            request.user = users[0]


MIDDLEWARE = ["slowhound.middleware.SlowhoundMiddleware", f"{SITE}.Users"]
STAFF = SimpleNamespace(is_active=True, is_staff=True)
NOBODY = SimpleNamespace(is_active=True, is_staff=False)


def yes(request: HttpRequest) -> bool:
    return True


def no(request: HttpRequest) -> bool:
    return False


def written(folder: Path, name: str) -> profile.Profile:
    """The profile of that name, once its drawings are written as well."""
    eventually((folder / f"{name}.speedscope.json").exists, "the drawings are written")
    return profile.load((folder / f"{name}.flame.json.gz").read_bytes())


def hottest(found: profile.Profile) -> str:
    """The innermost function with the largest share of the sampled time."""
    shares: Counter[str] = Counter()
    for each in found.samples:
        stack = found.stacks[each.stack]
        if stack and each.state != UNSAMPLED:
            shares[found.frames[stack[-1]].name] += round(each.weight * 1e6)
    return shares.most_common(1)[0][0]


def share(found: profile.Profile, function: str) -> float:
    """The share of stacks with this function."""
    inside = {
        number
        for number, stack in enumerate(found.stacks)
        if any(found.frames[frame].name.endswith(function) for frame in stack)
    }
    total = sum(sample.weight for sample in found.samples)
    return sum(sample.weight for sample in found.samples if sample.stack in inside) / total


def wait_for_samples() -> None:
    """Until the request that is sampled has samples in the view ``waits``."""
    assert gates["entered"].wait(30)
    session = module._session
    assert session is not None
    before = session.samples.taken  # perhaps of frames outside the view
    eventually(lambda: session.samples.taken > before + 20, "samples of the view")
