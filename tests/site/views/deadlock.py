"""Two requests that each hold what the other one waits for."""

from __future__ import annotations

import threading

from django.http import HttpRequest, HttpResponse

from tests.site.gates import LONGEST
from tests.site.views.gil import forget_looks

first_lock, second_lock = threading.Lock(), threading.Lock()
both = threading.Barrier(2, timeout=LONGEST)


def deadlock(_request: HttpRequest, which: str) -> HttpResponse:
    """Of the two that are asked for, each takes one lock and then wants the other's."""
    if which == "first":
        with first_lock:
            both.wait()
            forget_looks()
            second_lock.acquire(timeout=LONGEST)  # mark: first
    else:
        with second_lock:
            both.wait()
            forget_looks()
            first_lock.acquire(timeout=LONGEST)  # mark: second
    return HttpResponse("let go")


def resolve(_request: HttpRequest) -> HttpResponse:
    """Gives the second one the lock of the first one, which keeps what is its own until then."""
    first_lock.release()
    return HttpResponse("resolved")
