"""Simple views."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from itertools import repeat
from operator import call, lt

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import View

from tests.site.gates import wait_at


def ok(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def item(_request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"item {number}")


class Page(View):
    def get(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse("page")


def headers(request: HttpRequest) -> JsonResponse:
    """Responds with the request's headers as the application sees them."""
    return JsonResponse(
        {name: value for name, value in request.META.items() if name.startswith("HTTP_")}
    )


def length(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.body)))


def collect(_request: HttpRequest) -> HttpResponse:
    """Makes two full collections, with garbage to collect."""
    kept = [[number] for number in range(200_000)]
    gc.collect()
    gc.collect()
    return HttpResponse(str(len(kept)))


def cpu(_request: HttpRequest) -> HttpResponse:
    """Uses a fifth of a second of this thread's CPU time."""
    end = time.thread_time() + 0.2
    total = 0
    while time.thread_time() < end:
        total += sum(range(1000))
    return HttpResponse("burnt")


def hold_gil(_request: HttpRequest) -> HttpResponse:
    """Makes one call into C code that uses half a second of CPU and holds the GIL."""
    end = time.thread_time() + 0.5
    over = any(map(lt, repeat(end), map(call, repeat(time.thread_time))))
    return HttpResponse(str(over))


def _child() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def fork_lingering(_request: HttpRequest, gate: str) -> HttpResponse:
    """Forks a child that outlives the request, and perhaps the worker."""
    pid = os.fork()
    if pid == 0:
        wait_at(gate)
        os._exit(0)
    return HttpResponse(str(os.getpid()))


def fork(_request: HttpRequest) -> HttpResponse:
    """Makes two children: one that ends at once, and one of multiprocessing that queries."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    child = multiprocessing.get_context("fork").Process(target=_child)
    child.start()
    child.join()
    return HttpResponse(f"{status} {child.exitcode}")
