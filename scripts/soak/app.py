"""The site: one view, which does one kind of work and responds with its result."""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from kinds import every_kind, usable

options: dict[str, Any] = json.loads(os.environ["SOAK"])
settings.configure(
    SECRET_KEY="soak",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["slowhound.middleware.SlowhoundMiddleware"] if options["enabled"] else [],
    SLOWHOUND={
        "ENABLED": options["enabled"],
        "DIR": options["dir"],
        "SLOW_AFTER": 0.5,
        "SAMPLE_AFTER": 0.3,
        "LOCALS": options["locals"],
        "FLAMES": {"ALLOW": f"{__name__}.everybody", "EVERY": 0},
    },
)
django.setup()
KINDS = usable(every_kind())


def everybody(request: HttpRequest) -> bool:
    """Every client may have a flame graph."""
    return True


def do(request: HttpRequest, name: str, size: int) -> HttpResponse:
    """One piece of work."""
    try:
        return HttpResponse(str(KINDS[name].work(size)))
    except Exception:
        # With slowhound or without, the exception is in the log.
        logging.getLogger("gunicorn.error").exception("%s failed", name)
        raise


def ready(request: HttpRequest) -> HttpResponse:
    """The site answers."""
    return HttpResponse("ready")


def settled(request: HttpRequest) -> HttpResponse:
    """Has this worker give back the memory that is not in use; responds with its pid."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return HttpResponse(str(os.getpid()))


urlpatterns = [
    path("", ready),
    path("settled/", settled),
    path("<str:name>/<int:size>/", do),
]
application = get_wsgi_application()
