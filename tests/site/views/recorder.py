"""Views that use slowhound's own names."""

from __future__ import annotations

import threading
import time

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from slowhound import Context, current, on_error
from slowhound.recorder import process as recorders
from tests.site.gates import LONGEST
from tests.site.options import SCRATCH
from tests.site.views.errors import OhNoes

HOSTILE = {
    'x" event_type="crash': "forged",
    "new\nline": "v1",
    "sp ace": "v2",
    "equal=s": "v3",
    "back\\slash": "v4",
    "": "v5",
    "\x1b[31m\x00\u202e\udcff": "v6",
    "value": 'q" event_type="crash" \\ \n \x1b \x00 \u202e \udcff end',
}


def context(_request: HttpRequest) -> HttpResponse:
    Context.set("custom", "my_value")
    for _ in range(2):
        with Context.time("work"):
            time.sleep(0.05)
    Context.update(context={"number": 7, "share": 0.25, "yes": True, "nothing": None})
    return HttpResponse(str(Context.get("custom")))


def hostile_context(_request: HttpRequest) -> HttpResponse:
    for key, value in HOSTILE.items():
        Context.set(key, value)
    return HttpResponse("set")


def _fails() -> str:
    raise OhNoes("half of it")  # mark: partial cause


@on_error(return_value="fallback")
def _degrades() -> str:
    return _fails()  # mark: partial


@on_error(return_value="async fallback")
async def _degrades_async() -> str:
    return _fails()  # mark: partial async


def partial(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(_degrades())


def partial_async(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(async_to_sync(_degrades_async)())


def current_record(_request: HttpRequest) -> HttpResponse:
    """Responds with whether there is a current record."""
    return HttpResponse("none" if current() is None else "there")


def mark_queued(_request: HttpRequest, name: str, count: int) -> HttpResponse:
    """Makes a file as soon as this many requests wait for a thread of this worker's pool."""
    active = recorders.get()
    assert active is not None
    queue = active.saturation.pool._work_queue

    def check() -> None:
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            if queue.qsize() >= count:
                (SCRATCH / f"{name}.queued").touch()
                return
            time.sleep(0.01)

    threading.Thread(target=check, daemon=True).start()
    return HttpResponse("checks")
