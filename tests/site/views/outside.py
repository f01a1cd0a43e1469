"""Views that use the cache, other services and templates."""

from __future__ import annotations

import httpx
import urllib3
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def cached(_request: HttpRequest) -> HttpResponse:
    """One set, two hits, three misses."""
    cache.set("known", "value")
    hits = [cache.get("known") for _ in range(2)]
    misses = [cache.get(f"unknown-{number}") for number in range(3)]
    return HttpResponse(f"{hits} {misses}")


def cached_many(_request: HttpRequest) -> HttpResponse:
    """Sets two keys, and gets these and an unknown one, in one call each."""
    cache.set_many({"a": 1, "b": 2})
    return HttpResponse(str(cache.get_many(["a", "b", "c"])))


def call_urllib3(request: HttpRequest) -> HttpResponse:
    base = request.GET["base"]
    with urllib3.PoolManager() as pool:
        bodies = [pool.request("GET", f"{base}/{number}").data for number in range(2)]
    return HttpResponse(b",".join(bodies))


def call_httpx(request: HttpRequest) -> HttpResponse:
    base = request.GET["base"]
    with httpx.Client(trust_env=False) as client:
        bodies = [client.get(f"{base}/{number}").content for number in range(3)]
    return HttpResponse(b",".join(bodies))


def call_closed_port(_request: HttpRequest) -> HttpResponse:
    """A call to a port where nothing listens; the view handles the error."""
    try:
        with urllib3.PoolManager() as pool:
            pool.request("GET", "http://127.0.0.1:1/", retries=False, timeout=2)
    except urllib3.exceptions.HTTPError as error:
        return HttpResponse(type(error).__name__)
    return HttpResponse("answered?", status=500)


def template(request: HttpRequest) -> HttpResponse:
    return render(request, "plain.html", {"greeting": "hello"})
