"""What ``slowhound doctor`` looks at: settings, folder, Python, kernel, server."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from slowhound import blackbox
from slowhound.config import default_dir
from slowhound.folder import prepare
from slowhound.instrument.saturation import backlog

GUNICORN = ((23, 0), (28, 0))
ROOM = 64 * 1024**2


class Finding(NamedTuple):
    """One thing looked at: ``ok``, ``note`` (works, but know this) or ``problem``."""

    state: str
    subject: str
    text: str
    advice: str = ""


def all_of(directory: str | None) -> list[Finding]:
    """Every finding, in the order in which one would put things right."""
    found = [*python(), *packages(), *settings()]
    return [*found, *folder(directory or _configured_dir()), *kernel(), *server()]


def python() -> Iterator[Finding]:
    """The interpreter."""
    name = ".".join(map(str, sys.version_info[:3]))
    if sys.implementation.name != "cpython":
        yield Finding("note", "Python", f"{sys.implementation.name} {name} is not tested")
    elif not getattr(sys, "_is_gil_enabled", lambda: True)():
        yield Finding("note", "Python", f"{name} without the GIL is not tested")
    else:
        yield Finding("ok", "Python", name)
    yield Finding(
        "note",
        "GIL",
        "a request that holds it in C code is reported when it ends, without a stack",
        "Gunicorn's timeout and the black box still tell in which request a worker was killed.",
    )


def packages() -> Iterator[Finding]:
    """Django and Gunicorn."""
    for name, needed in (("Django", True), ("gunicorn", False)):
        try:
            found = version(name)
        except PackageNotFoundError:
            state = "problem" if needed else "note"
            text = "is not installed here" + ("" if needed else "; the middleware works without")
            yield Finding(state, name, text)
            continue
        numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
        low, high = ((5, 2), (99,)) if name == "Django" else GUNICORN
        if low <= numbers < high:
            yield Finding("ok", name, found)
        else:
            yield Finding("note", name, f"{found} is outside the versions that are tested")


def settings() -> Iterator[Finding]:
    """Django's system checks of slowhound, when there are settings."""
    name = os.environ.get("DJANGO_SETTINGS_MODULE")
    if not name:
        yield Finding(
            "note",
            "settings",
            "DJANGO_SETTINGS_MODULE is not set, so only the machine is looked at",
            "DJANGO_SETTINGS_MODULE=shop.settings slowhound doctor",
        )
        return
    try:
        import django

        django.setup()
        checks = importlib.import_module("slowhound.checks")
    except Exception as exc:  # noqa: BLE001  an application's settings may raise anything
        yield Finding("problem", "settings", f"{name} cannot be loaded: {exc!r}")
        return
    from django.core.checks import ERROR

    found = checks.all_checks()
    for each in found:
        state = "problem" if each.level >= ERROR else "note"
        yield Finding(state, each.id or "check", str(each.msg), str(each.hint or ""))
    if not found:
        yield Finding("ok", "settings", f"{name} is fine")


def _configured_dir() -> str:
    from django.conf import settings as django_settings

    if not django_settings.configured:
        return default_dir()
    from slowhound.conf import get_config

    return get_config().dir


def folder(path: str) -> Iterator[Finding]:
    """DIR: can this user write to it, is there room, do its locks work?"""
    before = {each for each in _folders(path) if os.path.lexists(each)}
    try:
        prepare(path)
    except OSError as exc:
        advice = "Run this as the user of the server's workers, or name another DIR."
        yield Finding("problem", "DIR", str(exc), advice)
        return
    try:
        box = blackbox.Box(path, 1)
        box.close()
    except OSError as exc:
        yield Finding("problem", "DIR", f"no black box can be made in {path}: {exc}")
    else:
        yield Finding("ok", "DIR", f"{path} can be written to, and black boxes work in it")
    free = shutil.disk_usage(path).free
    if free < ROOM:
        yield Finding("note", "DIR", f"only {free // 1024**2} MiB are free on its disk")
    # A look leaves nothing behind: the folder that this user makes may not be the workers'.
    for each in _folders(path):
        if each not in before and os.path.isdir(each) and not os.listdir(each):
            os.rmdir(each)


def _folders(path: str) -> tuple[str, str]:
    return os.path.join(path, "boxes"), path


def kernel() -> Iterator[Finding]:
    """What saturation and memory are read from."""
    if not sys.platform.startswith("linux"):
        yield Finding("note", "kernel", f"{sys.platform}: no backlog and no w_rss in the events")
        return
    for name, listener in _listeners():
        with listener:
            known = backlog([listener]) is not None
        state, text = ("ok", "can be read") if known else ("note", "cannot be read here")
        yield Finding(state, f"backlog of {name} sockets", text)
    if not os.path.exists("/proc/self/statm"):
        yield Finding("note", "/proc", "is not mounted: no w_rss in the events")


def _listeners() -> Iterator[tuple[str, socket.socket]]:
    tcp = socket.socket()
    tcp.bind(("127.0.0.1", 0))
    tcp.listen(1)
    yield "TCP", tcp
    with tempfile.TemporaryDirectory() as scratch:
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(os.path.join(scratch, "s"))
        unix.listen(1)
        yield "unix", unix


def server() -> Iterator[Finding]:
    """What is known of the servers that slowhound knows by name."""
    if importlib.util.find_spec("gunicorn") is None:
        return
    yield Finding("ok", "Gunicorn sync, gthread", "lines, reports, timeouts and deaths")
    yield Finding(
        "note",
        "Gunicorn gevent, asgi and others",
        "lines by the middleware; the stacks of greenlets and coroutines are not read yet",
    )
