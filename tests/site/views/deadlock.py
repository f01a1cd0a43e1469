"""Two requests that each hold what the other one waits for."""

from __future__ import annotations

import threading

from django.http import HttpRequest, HttpResponse

first_lock, second_lock = threading.Lock(), threading.Lock()
both = threading.Barrier(2, timeout=30)
# Long enough to be reported; a test does not wait for ever.
PATIENCE = 6


def deadlock(_request: HttpRequest, which: str) -> HttpResponse:
    """Of the two that are asked for, each takes one lock and then wants the other's."""
    if which == "first":
        with first_lock:
            both.wait()
            second_lock.acquire(timeout=PATIENCE)  # mark: first
    else:
        with second_lock:
            both.wait()
            first_lock.acquire(timeout=PATIENCE)  # mark: second
    return HttpResponse("given up")
