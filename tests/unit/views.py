"""The views of the unit tests."""

from __future__ import annotations

import time
from typing import Any

from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.functional import SimpleLazyObject

import slowhound

gates: dict[str, Any] = {}
evaluated: list[Any] = []


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Thing:
    @property
    def broken(self) -> str:
        raise ValueError("broken thing")


def ok(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def query(times: int = 1) -> None:
    with connection.cursor() as cursor:
        for number in range(times):
            cursor.execute("SELECT %s", [number])


def queries(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        for number in range(6):
            cursor.execute("SELECT %s", [number])
        cursor.execute("SELECT 'a literal', 42")
    return HttpResponse("six and one")


def cached(request: HttpRequest) -> HttpResponse:
    cache.clear()
    cache.get("a")
    cache.set("a", 1)
    cache.get("a")
    cache.get_many(["a", "b"])
    cache.set_many({"c": 1, "d": 2})
    cache.get_or_set("e", [5])
    return HttpResponse("cached")


def fails(request: HttpRequest) -> HttpResponse:
    raise Unprintable


def denied(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("not you")


def template(request: HttpRequest) -> HttpResponse:
    return render(request, "outer.html", {"thing": Thing()})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Any:
        yield b"one"
        time.sleep(0.01)
        yield b"three"

    return StreamingHttpResponse(parts())


def context(request: HttpRequest) -> HttpResponse:
    slowhound.Context.set("customer", "ada")
    slowhound.Context.set("method", "PUT", namespace="req")
    for _ in range(2):
        with slowhound.Context.time("pricing"):
            time.sleep(0.01)
    assert slowhound.Context.get("customer") in ("ada", None)  # None: slowhound is broken or off
    return HttpResponse("context")


@slowhound.on_error(return_value="fallback")
def risky() -> str:
    raise ValueError("survived")


@slowhound.on_error(return_value="fallback")
async def risky_async() -> str:
    raise ValueError("survived")


def partial(request: HttpRequest) -> HttpResponse:
    return HttpResponse(risky())


def waits(request: HttpRequest) -> HttpResponse:
    password = "hunter2"  # noqa: F841  a local that a report must not show
    numbers = list(range(1000))  # noqa: F841
    lazy = SimpleLazyObject(lambda: evaluated.append(1))  # noqa: F841
    gates["entered"].set()
    gates["open"].wait(30)
    return HttpResponse("waited")


urlpatterns = [
    path("", ok, name="root"),
    path("queries/", queries),
    path("cached/", cached),
    path("fails/", fails),
    path("denied/", denied),
    path("template/", template),
    path("stream/", stream),
    path("context/", context),
    path("partial/", partial),
    path("waits/", waits, name="waiting"),
]
