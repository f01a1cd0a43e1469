"""Django's system checks: what is wrong with the settings, and what to do.

E001 not a dict, E002 unknown key, E003 bad value, W001 the middleware is not the first.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

from slowhound.config import problems

IDS = {"shape": "slowhound.E001", "unknown": "slowhound.E002", "value": "slowhound.E003"}
MIDDLEWARE = "slowhound.middleware.SlowhoundMiddleware"


@register("slowhound")
def check_settings(**_: Any) -> list[CheckMessage]:
    """Every unknown key and bad value of ``SLOWHOUND``."""
    return [
        Error(problem.message, hint=problem.hint, id=IDS[problem.kind])
        for problem in problems(getattr(settings, "SLOWHOUND", {}))
    ]


@register("slowhound")
def check_middleware(**_: Any) -> list[CheckMessage]:
    """A middleware before slowhound's is not measured, and its errors are not seen."""
    listed = list(settings.MIDDLEWARE)
    if MIDDLEWARE not in listed or listed[0] == MIDDLEWARE:
        return []
    return [
        checks.Warning(
            f"{listed[0]} comes before slowhound's middleware and is not measured.",
            hint=f"Put {MIDDLEWARE!r} first in MIDDLEWARE.",
            id="slowhound.W001",
        )
    ]
