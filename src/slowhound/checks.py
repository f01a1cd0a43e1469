"""Django's system checks: what is wrong with the settings, and what to do.

E001 not a dict, E002 unknown key, E003 bad value, E004 a sink that cannot be imported, W001 the
middleware is not the first, W002 DIR cannot be used by this user, W003 local variables are shown
in production, W004 TASKS names django.tasks and this Django has none.
"""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from slowhound import legacy
from slowhound.conf import MIDDLEWARE, get_config, lookup
from slowhound.config import problems
from slowhound.folder import prepare

IDS = {"shape": "slowhound.E001", "unknown": "slowhound.E002", "value": "slowhound.E003"}


@register("slowhound")
def check_settings(**_: Any) -> list[CheckMessage]:
    """Every unknown key and bad value of ``SLOWHOUND``."""
    found = problems(getattr(settings, "SLOWHOUND", {})) + legacy.problems(lookup)
    return [Error(each.message, hint=each.hint, id=IDS[each.kind]) for each in found]


@register("slowhound")
def check_sinks(**_: Any) -> list[CheckMessage]:
    """A sink is imported with the first report, which may be weeks from now."""
    found: list[CheckMessage] = []
    for spec in get_config().sinks:
        path = spec if isinstance(spec, str) else spec["sink"]
        try:
            import_string(path)
        except ImportError as exc:
            hint = "Name a class by its dotted path."
            found.append(Error(f"The sink {path!r}: {exc}.", hint=hint, id="slowhound.E004"))
    return found


@register("slowhound")
def check_folder(**_: Any) -> list[CheckMessage]:
    """A DIR that exists and cannot work; that it can be made is known only when it is."""
    path = get_config().dir
    if not os.path.lexists(path):
        return []
    try:
        prepare(path)
    except OSError as exc:
        hint = "The check is for the user that runs it; the server's workers may be another."
        return [checks.Warning(f"DIR cannot be used: {exc}.", hint=hint, id="slowhound.W002")]
    return []


@register("slowhound")
def check_locals(**_: Any) -> list[CheckMessage]:
    """Masking goes by names; a secret under a harmless name is shown."""
    if settings.DEBUG or not get_config().locals:
        return []
    return [
        checks.Warning(
            "Local variables are written into slow reports, and DEBUG is off.",
            hint="Set LOCALS (or DOGSLOW_STACK_VARS) to False, or keep DIR from unwanted readers.",
            id="slowhound.W003",
        )
    ]


@register("slowhound")
def check_tasks(**_: Any) -> list[CheckMessage]:
    """A warning only: settings may be shared by sites with several versions of Django."""
    if "django.tasks" not in get_config().tasks or django.VERSION >= (6, 0):
        return []
    return [
        checks.Warning(
            "TASKS names 'django.tasks', which comes with Django 6.0; this is Django"
            f" {django.get_version()}, and no such task is recorded.",
            hint="Decorate the functions with slowhound.task, or use Django 6.0.",
            id="slowhound.W004",
        )
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


def all_checks() -> list[CheckMessage]:
    """The findings of all checks above, for ``slowhound doctor``."""
    found: list[CheckMessage] = []
    for check in (
        check_settings,
        check_sinks,
        check_folder,
        check_locals,
        check_tasks,
        check_middleware,
    ):
        found += check()
    return found
