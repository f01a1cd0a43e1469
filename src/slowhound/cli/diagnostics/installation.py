"""Checks the interpreter, the packages, the settings and the servers that are installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from slowhound.cli.diagnostics import Diagnostic

# The versions that are tested: from the first, below the second.
DJANGO_VERSIONS = ((5, 2), (99,))
GUNICORN_VERSIONS = ((23, 0), (28, 0))
# Servers without hooks that ``slowhound.asgi.wrap`` is for.
ASGI_SERVERS = ("uvicorn", "hypercorn", "granian", "daphne")


def python() -> Iterator[Diagnostic]:
    """The interpreter."""
    name = ".".join(map(str, sys.version_info[:3]))
    if sys.implementation.name != "cpython":
        yield Diagnostic("note", "Python", f"{sys.implementation.name} {name} is not tested")
    elif not getattr(sys, "_is_gil_enabled", lambda: True)():
        yield Diagnostic("note", "Python", f"{name} without the GIL is not tested")
    else:
        yield Diagnostic("ok", "Python", name)


def packages() -> Iterator[Diagnostic]:
    """Django and Gunicorn."""
    for name, needed, tested in (
        ("Django", True, DJANGO_VERSIONS),
        ("gunicorn", False, GUNICORN_VERSIONS),
    ):
        try:
            found = version(name)
        except PackageNotFoundError:
            state = "problem" if needed else "note"
            text = "is not installed here" + ("" if needed else "; the middleware works without")
            yield Diagnostic(state, name, text)
            continue
        numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
        if tested[0] <= numbers < tested[1]:
            yield Diagnostic("ok", name, found)
        else:
            yield Diagnostic("note", name, f"{found} is outside the versions that are tested")


def settings() -> Iterator[Diagnostic]:
    """Django's system checks of slowhound, when there are settings."""
    name = os.environ.get("DJANGO_SETTINGS_MODULE")
    if not name:
        yield Diagnostic(
            "note",
            "settings",
            "DJANGO_SETTINGS_MODULE is not set, so only the machine is checked",
            "DJANGO_SETTINGS_MODULE=shop.settings slowhound doctor",
        )
        return
    try:
        import django

        django.setup()
        checks = importlib.import_module("slowhound.config.checks")
    except Exception as exc:  # noqa: BLE001  an application's settings may raise anything
        yield Diagnostic("problem", "settings", f"{name} cannot be loaded: {exc!r}")
        return
    from django.core.checks import ERROR

    found = checks.all_checks()
    for each in found:
        state = "problem" if each.level >= ERROR else "note"
        yield Diagnostic(state, each.id or "check", str(each.msg), str(each.hint or ""))
    if not found:
        yield Diagnostic("ok", "settings", f"{name} is fine")


def servers() -> Iterator[Diagnostic]:
    """What slowhound records under each server that is installed."""
    if _installed("gunicorn"):
        yield Diagnostic("ok", "Gunicorn sync, gthread", "lines, reports, timeouts and deaths")
        if _installed("gevent"):
            text = "the same, for greenlets: the black box has slots for 256 per worker"
            yield Diagnostic("ok", "Gunicorn gevent", text)
        if _installed("gunicorn.workers.gasgi"):
            text = "the same, for asyncio tasks: the black box has slots for 256 per worker"
            yield Diagnostic("ok", "Gunicorn asgi", text)
    found = [name for name in ASGI_SERVERS if _installed(name)]
    if found:
        yield Diagnostic(
            "note",
            ", ".join(found),
            "lines and reports by slowhound.asgi.wrap; deaths without their cause",
        )
    text = "lines and reports by the middleware; deaths without their cause"
    yield Diagnostic("note", "other servers", text)


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False
