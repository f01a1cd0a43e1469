"""Views that fail, each in another way."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from tests.site.middleware import Refused
from tests.site.models import Item


class OhNoes(Exception):
    """The site's own error."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even a text")

    __repr__ = __str__


def _thrower() -> None:
    raise OhNoes("Oh noes!")  # mark: cause


def raises(_request: HttpRequest) -> HttpResponse:
    _thrower()  # mark: raises
    return HttpResponse("never")


def raises_from(_request: HttpRequest) -> HttpResponse:
    """Raises an error with another one as its cause."""
    try:
        _thrower()
    except OhNoes as error:
        raise ValueError("worse") from error  # mark: from
    return HttpResponse("never")


def denied(_request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("not for you")  # mark: denied


def missing(_request: HttpRequest) -> HttpResponse:
    get_object_or_404(Item, pk=0)  # mark: missing
    return HttpResponse("never")


def refused(_request: HttpRequest) -> HttpResponse:
    raise Refused("not now")  # mark: refused


def unprintable(_request: HttpRequest) -> HttpResponse:
    raise Unprintable  # mark: unprintable


def hostile_message(_request: HttpRequest) -> HttpResponse:
    raise OhNoes('a"b\\c\nevent_type="crash" \x1b[31m\x00\t\u202eevil\udcff')


class Bomb:
    def explode(self) -> str:
        raise OhNoes("in a template")  # mark: bomb


def in_template(request: HttpRequest) -> HttpResponse:
    return render(request, "deep/page.html", {"bomb": Bomb()})  # mark: render


def swallowed(_request: HttpRequest) -> HttpResponse:
    """An error that the view itself handles."""
    try:
        _thrower()
    except OhNoes:
        return HttpResponse("fine")
    return HttpResponse("never")
