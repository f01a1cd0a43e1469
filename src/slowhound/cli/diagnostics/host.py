"""What ``slowhound doctor`` looks at: settings, folder, Python, kernel, server."""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from slowhound.blackbox import box as blackbox
from slowhound.cli.diagnostics.trial import Trial, read_a_child
from slowhound.config.default_dir import default_folder, existing
from slowhound.gil import py_spy, remote_unwinder
from slowhound.instrument.saturation import backlog
from slowhound.redaction.masking import message
from slowhound.system import oom_kills
from slowhound.system.file_locks import is_kept
from slowhound.system.private_dir import prepare
from slowhound.system.thread_state import waiting_for

GUNICORN = ((23, 0), (28, 0))
LEAST_FREE = 64 * 1024**2
# What ``Reading.by`` means.
READER_NAMES = {"remote": "Python's own reader"}
HELD_GIL_STACKS = "stacks while the GIL is held"
PTRACE_SCOPE = "/proc/sys/kernel/yama/ptrace_scope"
# Servers without hooks that ``slowhound.asgi.wrap`` is for.
ASGI_SERVERS = ("uvicorn", "hypercorn", "granian", "daphne")


class Diagnostic(NamedTuple):
    """One thing looked at: ``ok``, ``note`` (works, but know this) or ``problem``."""

    state: str
    subject: str
    text: str
    advice: str = ""


Group = tuple[str, Callable[[], Iterable[Diagnostic]]]


def all_of(directory: str | None) -> list[Diagnostic]:
    """Every finding, in the order in which one would put things right."""
    groups: list[Group] = [("Python", python), ("packages", packages), ("settings", settings)]
    groups.append(("DIR", _any_folder if directory is None else partial(folder, directory)))
    groups += [("kernel", kernel), ("stacks", stacks), ("deaths", deaths), ("servers", server)]
    return [each for group in groups for each in _checked(*group)]


def _checked(subject: str, look: Callable[[], Iterable[Diagnostic]]) -> Iterator[Diagnostic]:
    """What is found; where the look itself fails, that is a finding, and the others are made."""
    try:
        for each in look():
            # What an application's settings raise may quote them.
            yield each._replace(text=message(each.text))
    except Exception as exc:  # noqa: BLE001  a machine may be of any kind
        yield Diagnostic("problem", subject, message(f"could not be looked at: {exc}"))


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
    for name, needed in (("Django", True), ("gunicorn", False)):
        try:
            found = version(name)
        except PackageNotFoundError:
            state = "problem" if needed else "note"
            text = "is not installed here" + ("" if needed else "; the middleware works without")
            yield Diagnostic(state, name, text)
            continue
        numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
        low, high = ((5, 2), (99,)) if name == "Django" else GUNICORN
        if low <= numbers < high:
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
            "DJANGO_SETTINGS_MODULE is not set, so only the machine is looked at",
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


def _any_folder() -> Iterator[Diagnostic]:
    """DIR of the settings, or the default one."""
    directory = _configured_dir()
    yield from default_folders(directory)
    yield from folder(directory)


def _configured_dir() -> str:
    from django.conf import settings as django_settings

    if not django_settings.configured:
        return next(iter(existing()), default_folder())
    from slowhound.config.from_django import get_config

    return get_config().dir


def default_folders(directory: str) -> Iterator[Diagnostic]:
    """Where files go without DIR, and what other projects have."""
    project = default_folder().rpartition(os.sep)[2]
    if not os.path.basename(directory).startswith(project):
        return
    text = f"is not set: {directory} is this user's and this project's alone, and temporary"
    yield Diagnostic("note", "DIR", text, "Name a DIR that stays, as /var/lib/shop/slowhound.")
    others = [each for each in existing() if each != directory]
    if others:
        advice = "Commands find the right one by DJANGO_SETTINGS_MODULE, or --dir."
        yield Diagnostic("note", "DIR", f"other projects have {', '.join(others)}", advice)


def folder(path: str) -> Iterator[Diagnostic]:
    """DIR: can this user write to it, is there room, do its locks work?"""
    before = {each for each in _folders(path) if os.path.lexists(each)}
    try:
        yield from _prepared(path)
    finally:
        # A look leaves nothing behind: the folder that this user makes may not be the workers'.
        for each in _folders(path):
            if each not in before:
                with suppress(OSError):  # somebody has put something into it
                    os.rmdir(each)


def _prepared(path: str) -> Iterator[Diagnostic]:
    try:
        prepare(path)
    except OSError as exc:
        advice = "Run this as the user of the server's workers, or name another DIR."
        yield Diagnostic("problem", "DIR", str(exc), advice)
        return
    try:
        box = blackbox.Box(path, 1)
        box.close()
    except OSError as exc:
        yield Diagnostic("problem", "DIR", f"no black box can be made in {path}: {exc}")
    else:
        yield Diagnostic("ok", "DIR", f"{path} can be written to, and black boxes work in it")
    if not _has_locks(path):
        text = "its file system has no locks (flock): files stand for them"
        yield Diagnostic(
            "note", "DIR", text, "Deaths in other containers that share it are not told."
        )
    free = shutil.disk_usage(path).free
    if free < LEAST_FREE:
        yield Diagnostic("note", "DIR", f"only {free // 1024**2} MiB are free on its disk")


def _has_locks(path: str) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return is_kept(fd) is not None
    finally:
        os.close(fd)


def _folders(path: str) -> tuple[str, str]:
    return os.path.join(path, "boxes"), path


def kernel() -> Iterator[Diagnostic]:
    """What saturation and memory are read from."""
    if not sys.platform.startswith("linux"):
        yield Diagnostic("note", "kernel", f"{sys.platform}: no backlog and no w_rss in the events")
        return
    for name, listener in _listeners():
        with listener:
            known = backlog([listener]) is not None
        state, text = ("ok", "can be read") if known else ("note", "cannot be read here")
        yield Diagnostic(state, f"backlog of {name} sockets", text)
    if not os.path.exists("/proc/self/statm"):
        yield Diagnostic("note", "/proc", "is not mounted: no w_rss in the events")


def _listeners() -> Iterator[tuple[str, socket.socket]]:
    tcp = socket.socket()
    tcp.bind(("127.0.0.1", 0))
    tcp.listen(1)
    yield "TCP", tcp
    unix = socket.socket(socket.AF_UNIX)
    unix.bind("")  # a name of the kernel's: no folder is needed, whose path may be too long
    unix.listen(1)
    yield "unix", unix


def stacks() -> Iterator[Diagnostic]:
    """The ways to a stack while the GIL is held, and to what a thread waits for."""
    yield while_the_gil_is_held(_ptrace_scope(), py_spy.command(), read_a_child)
    if waiting_for(threading.get_native_id()) is not None and _own_system_call():
        text = "can be read: reports say what a thread waits for"
        yield Diagnostic("ok", "system calls of threads", text)
    else:
        text = "cannot be read: reports say little or nothing of what a thread waits for"
        yield Diagnostic("note", "system calls of threads", text)


def _own_system_call() -> bool:
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/syscall", "rb") as call:
            return bool(call.read())
    except OSError:
        return False


def while_the_gil_is_held(
    scope: int, program: str | None, attempt: Callable[[], Trial]
) -> Diagnostic:
    """Who can read a worker's stacks then, with this ``ptrace_scope`` and this py-spy.

    ``attempt`` shows that there is a way that works; of other users and of processes that are no
    children, which it says nothing of, the kernel's rules are told.
    """
    if not remote_unwinder.available and program is None:
        text = (
            "cannot be read on this Python without py-spy: a report has the last stack before that"
            " or the first one after it"
        )
        return Diagnostic("note", HELD_GIL_STACKS, text, "pip install 'slowhound[pyspy]'")
    trial = attempt()
    if trial.by is None:
        text = f"could not be read of a child of this command. {trial.why}"
        return Diagnostic("note", HELD_GIL_STACKS, text, _who_may(scope))
    way = "" if trial.by == "remote" else f" with {program}"
    tried = f"; tried with a child of this command: by {READER_NAMES.get(trial.by, trial.by)}"
    advice = "Of workers to which a root arbiter has given another user: by root only."
    if scope == 0:
        return Diagnostic(
            "ok", HELD_GIL_STACKS, f"can be read{way} by the same user and by root{tried}", advice
        )
    if scope == 1 and trial.by == "remote":
        text = "can be read by Gunicorn's arbiter and by root, not by siblings (ptrace_scope is 1)"
        return Diagnostic("ok", HELD_GIL_STACKS, text + tried, advice)
    who = "only by root" if scope <= 2 else "by nobody"
    return Diagnostic(
        "note", HELD_GIL_STACKS, f"can be read{way} {who} (ptrace_scope is {scope}){tried}"
    )


def _who_may(scope: int) -> str:
    """What to look at where a trial has failed: the kernel's rules forbid it to some."""
    if scope > 2:
        return f"ptrace_scope is {scope}: the kernel lets nobody read another process."
    rule = f"ptrace_scope is {scope}: the kernel lets root do it. " if scope else ""
    return rule + "A container may lack SYS_PTRACE or forbid process_vm_readv (docs/gil.md)."


def _ptrace_scope() -> int:
    """What Yama allows; 0 where there is no Yama."""
    try:
        with open(PTRACE_SCOPE, encoding="ascii") as scope:
            return int(scope.read())
    except (OSError, ValueError):
        return 0


def deaths() -> Iterator[Diagnostic]:
    """What tells how a worker has died, and where."""
    counter = oom_kills.counter_file()
    if counter is not None:
        yield Diagnostic("ok", "kills for want of memory", f"are counted in {counter}")
    else:
        text = "are counted nowhere here: such a death has the cause signal"
        yield Diagnostic("note", "kills for want of memory", text)
    if faulthandler.is_enabled():
        yield Diagnostic(
            "note",
            "faulthandler",
            "is enabled already: the stack of a segmentation fault goes where that says",
            "For stacks in crash events do not set PYTHONFAULTHANDLER nor call enable().",
        )
    else:
        text = "is free: the stack of a segmentation fault will be in the crash event"
        yield Diagnostic("ok", "faulthandler", text)


def server() -> Iterator[Diagnostic]:
    """What is known of the servers that are installed here."""
    if _installed("gunicorn"):
        yield Diagnostic("ok", "Gunicorn sync, gthread", "lines, reports, timeouts and deaths")
        if _installed("gevent"):
            text = "the same, of greenlets: 256 of a worker have a place in its black box"
            yield Diagnostic("ok", "Gunicorn gevent", text)
        if _installed("gunicorn.workers.gasgi"):
            text = "the same, of asyncio tasks: 256 of a worker have a place in its black box"
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
    except ModuleNotFoundError:  # the package that it would be in
        return False
