"""Django's system checks: what is wrong with the settings, and what to do.

====== ===================================================================
number problem
====== ===================================================================
E001   SLOWHOUND is not a dict
E002   unknown key
E003   bad value
E004   a sink cannot be imported
E005   a rule of FLAMES cannot be imported
E006   the rule of VIEWER cannot be imported
W001   the middleware is not the first
W002   this user cannot use DIR
W003   local variables are shown in production
W004   TASKS names django.tasks, which this Django does not have
W005   tokens for flame graphs are signed with a SECRET_KEY that can be guessed
W006   VIEWER lets staff in, and the site has no users
W007   a check failed
====== ===================================================================
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from slowhound.config import legacy
from slowhound.config.config import problems
from slowhound.config.from_django import MIDDLEWARE, get_config, lookup
from slowhound.config.rules import ALLOWED, NOT_UTF_8, can_be_queried
from slowhound.redaction.masking import message
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.library_names import caught
from slowhound.system.private_dir import prepare

NO_KEY = caught("django.core.exceptions.ImproperlyConfigured")
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
# What `startproject` writes, and how long a key is at least (Django's security.W009).
INSECURE = "django-insecure-"
SHORTEST_KEY = 50
Check = Callable[..., list[CheckMessage]]
IDS = {"shape": "slowhound.E001", "unknown": "slowhound.E002", "value": "slowhound.E003"}


def _register(check: Check) -> Check:
    """Registers a check; one that fails, whatever the settings hold, stops no command."""

    @functools.wraps(check)
    def checked(**options: Any) -> list[CheckMessage]:
        try:
            return [_without_secrets(each) for each in check(**options)]
        except Exception as exc:
            if is_foreign(exc, bare=False):
                raise
            failed = f"{check.__name__} could not read the settings: {type(exc).__name__}."
            hint = "slowhound leaves out what it cannot read."
            return [checks.Warning(failed, hint=hint, id="slowhound.W007")]

    register("slowhound")(checked)
    return checked


def _without_secrets(found: CheckMessage) -> CheckMessage:
    """A message quotes the settings, such as the address of a webhook in the place of a sink."""
    found.msg = message(str(found.msg))
    return found


@_register
def check_settings(**_: Any) -> list[CheckMessage]:
    """Every unknown key and bad value of ``SLOWHOUND``."""
    found = problems(getattr(settings, "SLOWHOUND", {})) + legacy.problems(lookup)
    return [Error(each.message, hint=each.hint, id=IDS[each.kind]) for each in found]


@_register
def check_sinks(**_: Any) -> list[CheckMessage]:
    """Each sink can be imported: otherwise that fails with the first report, in weeks perhaps."""
    found: list[CheckMessage] = []
    for spec in get_config().sinks:
        path = spec if isinstance(spec, str) else spec["sink"]
        try:
            import_string(path)
        except ImportError as exc:
            hint = "Name a class by its dotted path."
            found.append(Error(f"The sink {path!r}: {exc}.", hint=hint, id="slowhound.E004"))
    return found


@_register
def check_flames(**_: Any) -> list[CheckMessage]:
    """Each rule can be imported, and nobody can guess the key that signs tokens."""
    found: list[CheckMessage] = []
    allow = get_config().flames_allow
    for path in allow:
        if path not in ALLOWED:
            try:
                import_string(path)
            except ImportError as exc:
                hint = "Name a function by its dotted path; it is given the request."
                found.append(Error(f"FLAMES: {path!r}: {exc}.", hint=hint, id="slowhound.E005"))
    if "token" in allow and not settings.DEBUG and not _is_key():
        hint = "Set a long random SECRET_KEY, or take 'token' out of FLAMES['ALLOW']."
        problem = "Tokens for flame graphs are signed with a SECRET_KEY that can be guessed."
        found.append(checks.Warning(problem, hint=hint, id="slowhound.W005"))
    return found


@_register
def check_viewer(**_: Any) -> list[CheckMessage]:
    """The rule of the viewer works: it is first used with the viewer's first request."""
    allow = get_config().viewer.get("ALLOW", "debug")
    if allow == "staff" and AUTHENTICATION not in settings.MIDDLEWARE:
        hint = f"Add {AUTHENTICATION!r} to MIDDLEWARE, or name a function of your own."
        problem = "VIEWER lets staff in, but no middleware sets request.user: no one gets in."
        return [checks.Warning(problem, hint=hint, id="slowhound.W006")]
    if "." in allow:
        try:
            import_string(allow)
        except ImportError as exc:
            hint = "Name a function by its dotted path; it is given the request."
            return [Error(f"VIEWER: {allow!r}: {exc}.", hint=hint, id="slowhound.E006")]
    return []


def _is_key() -> bool:
    try:
        key = settings.SECRET_KEY
    except NO_KEY:  # it is empty
        return False
    return len(key) >= SHORTEST_KEY and not str(key).startswith(INSECURE)


@_register
def check_folder(**_: Any) -> list[CheckMessage]:
    """A DIR that exists can be used; whether one can be made is known only when it is made."""
    path = get_config().dir
    if not can_be_queried(path):  # the folder that a relative one, or the default one, lies in
        problem = f"No query can read DIR, {path!r}: {NOT_UTF_8}."
        return [checks.Warning(problem, hint="Set DIR to a whole path.", id="slowhound.W002")]
    if not os.path.lexists(path):
        return []
    try:
        prepare(path)
    except OSError as exc:
        hint = "The check is for the user that runs it; the server's workers may be another."
        return [checks.Warning(f"DIR cannot be used: {exc}.", hint=hint, id="slowhound.W002")]
    return []


@_register
def check_locals(**_: Any) -> list[CheckMessage]:
    """Local variables are off in production: a secret under a harmless name would be shown."""
    if settings.DEBUG or not get_config().locals:
        return []
    return [
        checks.Warning(
            "Local variables are written into slow reports, and DEBUG is off.",
            hint="Set LOCALS (or DOGSLOW_STACK_VARS) to False, or keep DIR from unwanted readers.",
            id="slowhound.W003",
        )
    ]


@_register
def check_tasks(**_: Any) -> list[CheckMessage]:
    """This Django has django.tasks; a warning, for sites with other versions may share settings."""
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


@_register
def check_middleware(**_: Any) -> list[CheckMessage]:
    """The middleware is the first: one before it is not measured, and its errors are not seen."""
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
    """The messages of all checks above, for ``slowhound doctor``."""
    found: list[CheckMessage] = []
    for check in (
        check_settings,
        check_sinks,
        check_flames,
        check_viewer,
        check_folder,
        check_locals,
        check_tasks,
        check_middleware,
    ):
        found += check()
    return found
