"""Middleware of the site, as an application would have it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class Refused(Exception):
    """An error that the site's middleware turns into a response."""


class ConvertsErrors:
    """Responds to a view's Refused with status 409."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, _request: HttpRequest, error: Exception) -> HttpResponse | None:
        return HttpResponse("refused", status=409) if isinstance(error, Refused) else None


class BreaksOutside:
    """Raises for one path before any view is reached."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/broken-middleware/":
            raise RuntimeError("no view was reached")  # mark: middleware
        return self.get_response(request)
