"""Two requests, each of which holds the lock that the other one waits for."""

from __future__ import annotations

import threading

from django.http import HttpRequest, HttpResponse

from tests.site.gates import LONGEST
from tests.site.views.gil import forget_samples

first_lock, second_lock = threading.Lock(), threading.Lock()
both = threading.Barrier(2, timeout=LONGEST)


def deadlock(_request: HttpRequest, which: str) -> HttpResponse:
    """Takes one of two locks and then waits for the other."""
    if which == "first":
        with first_lock:
            both.wait()
            forget_samples()
            second_lock.acquire(timeout=LONGEST)  # mark: first
    else:
        with second_lock:
            both.wait()
            forget_samples()
            first_lock.acquire(timeout=LONGEST)  # mark: second
    return HttpResponse("released")


def resolve(_request: HttpRequest) -> HttpResponse:
    """Ends the deadlock: gives the second request the lock that the first one holds."""
    first_lock.release()
    return HttpResponse("resolved")
