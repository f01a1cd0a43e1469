"""Provides dogslow's ``WatchdogMiddleware``, which reports slow requests by dogslow's settings.

It writes canonical lines only if ``SLOWHOUND["STREAM"]`` is set. Nothing else has to be installed
or set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from slowhound.config.config import Config
from slowhound.config.default_dir import temporary_folder
from slowhound.config.from_django import get_config
from slowhound.middleware import RequestRecorder


class WatchdogMiddleware:
    """dogslow's middleware.

    Raises:
        MiddlewareNotUsed: ``DOGSLOW`` is False.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        config = watchdog_config()
        if not (config.enabled and config.watch):
            raise MiddlewareNotUsed("DOGSLOW is False")
        self.get_response = get_response
        self.recorder = RequestRecorder(config)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The application's response."""
        return self.recorder(request, self.get_response)


def watchdog_config() -> Config:
    """The settings, with dogslow's defaults where they differ from slowhound's."""
    config = get_config()
    given = getattr(settings, "SLOWHOUND", {})
    own = given if isinstance(given, Mapping) else {}
    return replace(
        config,
        stream=config.stream if "STREAM" in own else None,
        reports_dir=config.reports_dir or (None if "DIR" in own else temporary_folder()),
    )
