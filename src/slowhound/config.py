"""Settings: one table, read once into a frozen ``Config``.

This module knows no framework: it is given a mapping (Django's settings as seen by
``slowhound.setup``) and returns a ``Config``. A bad value never stops the application: the
default is used, and ``problems`` says what is wrong (Django's system checks print it).
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

GIB = 1024**3
MIB = 1024**2
# What TASKS may name.
TASKS = ("commands", "django.tasks")


class Setting(NamedTuple):
    """One key of ``SLOWHOUND``: its default, what it must be, and what it means."""

    default: Any
    must_be: str
    accepts: Callable[[Any], bool]
    meaning: str


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _positive(value: object) -> bool:
    return _number(value) and value != 0


def _size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _path_or_none(value: object) -> bool:
    return value is None or isinstance(value, str | os.PathLike)


def _thresholds(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _number(each) for key, each in value.items())
    return _number(value)


def _names(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(each, str) for each in value
    )


def _rates(value: object) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and set(value) <= {"ok", "disconnect"}
        and all(_number(each) and each <= 1 for each in value.values())
    )


def _sinks(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(each, str) or (isinstance(each, Mapping) and isinstance(each.get("sink"), str))
        for each in value
    )


def _tasks(value: object) -> bool:
    return isinstance(value, list | tuple) and all(each in TASKS for each in value)


def _format(value: object) -> bool:
    return value in ("logfmt", "json")


SETTINGS: dict[str, Setting] = {
    "ENABLED": Setting(True, "True or False", _flag, "False switches everything off."),
    "DIR": Setting(
        None,
        "a path or None",
        _path_or_none,
        "Folder of boxes, events and reports; it must belong to the worker's user and be writable"
        " by nobody else. None: `RUNTIME_DIRECTORY`, else a 0700 folder of the user under the"
        " system's temporary folder.",
    ),
    "FORMAT": Setting("logfmt", "'logfmt' or 'json'", _format, "Format of the canonical line."),
    "STREAM": Setting(
        "auto",
        "'auto', a path or None",
        _path_or_none,
        "Where canonical lines go. `auto`: Gunicorn's access log when slowhound's `Logger` is"
        " used, else standard output; a path: appended to that file; None: nowhere.",
    ),
    "SLOW_AFTER": Setting(
        25.0,
        "seconds, or a mapping of view or route name to seconds",
        _thresholds,
        "Seconds until a request is reported as slow. A mapping gives views or routes their own;"
        " `*` stands for all others (25 when it is missing).",
    ),
    "SAMPLE_AFTER": Setting(
        1.0, "seconds", _number, "Seconds until a request is sampled. Not used yet."
    ),
    "SAMPLE_HZ": Setting(20, "a number above 0", _positive, "Samples a second. Not used yet."),
    "IGNORE": Setting(
        (),
        "a list or tuple of strings",
        _names,
        "View names, route names, or path prefixes (with a leading `/`) that are never reported"
        " as slow. They still have their canonical line.",
    ),
    "LOCALS": Setting(
        False, "True or False", _flag, "Puts local variables, masked, into slow reports."
    ),
    "STORE": Setting(True, "True or False", _flag, "Writes events to JSON-lines segments."),
    "STORE_MAX_BYTES": Setting(
        GIB, "a number of bytes", _size, "Bytes that all segments together may take."
    ),
    "REPORTS_MAX_BYTES": Setting(
        256 * MIB, "a number of bytes", _size, "Bytes that all reports together may take."
    ),
    "SAMPLING": Setting(
        None,
        "None or a mapping of outcome ('ok', 'disconnect') to a rate from 0 to 1",
        _rates,
        "Share of requests whose events are kept, by outcome. Errors and slow requests are always"
        " kept; the rate is in the event as `sample_rate`.",
    ),
    "SINKS": Setting(
        (),
        "a list of dotted paths, or of mappings with a 'sink' key",
        _sinks,
        "Classes that slow reports are handed to, on a thread of their own.",
    ),
    "TASKS": Setting(
        (),
        "a list or tuple of 'commands', 'django.tasks'",
        _tasks,
        "Background work that has events without a decorator: management commands, and what"
        " `django.tasks` (Django 6.0) runs.",
    ),
    "FLAMES": Setting(
        {"ALLOW": "debug"},
        "a mapping",
        lambda value: isinstance(value, Mapping),
        "Who may ask for a flame graph. Not used yet.",
    ),
    "SERVICE": Setting(
        None, "a string or None", _text_or_none, "Name of the service, in each event."
    ),
    "RELEASE": Setting(
        None, "a string or None", _text_or_none, "Version of the application, in each event."
    ),
}


class Problem(NamedTuple):
    """One thing that is wrong with the settings, and what to do."""

    kind: str  # "unknown", "value", "shape"
    key: str
    message: str
    hint: str


@dataclass(frozen=True)
class Config:
    """The settings as the rest of slowhound reads them; see ``SETTINGS`` for the meanings."""

    enabled: bool = True
    dir: str = ""
    format: str = "logfmt"
    stream: str | None = "auto"
    slow_after: float = 25.0
    slow_after_by_name: Mapping[str, float] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    ignore_prefixes: tuple[str, ...] = ()
    locals: bool = False
    store: bool = True
    store_max_bytes: int = GIB
    reports_max_bytes: int = 256 * MIB
    reports_dir: str | None = None  # None: DIR/reports
    report_files: bool = True
    watch: bool = True
    sampling: Mapping[str, float] = field(default_factory=dict)
    sinks: tuple[Any, ...] = ()
    tasks: tuple[str, ...] = ()
    service: str | None = None
    release: str | None = None
    host: str = ""

    def threshold(self, names: Iterable[str | None]) -> float:
        """Seconds after which a request to a view with these names is slow."""
        named = self.slow_after_by_name
        if named:
            for name in names:
                if name is not None and name in named:
                    return named[name]
        return self.slow_after

    def shortest_threshold(self) -> float:
        """The lowest threshold that any request can have; the hound must look more often."""
        return min((self.slow_after, *self.slow_after_by_name.values()))

    def ignored(self, path: str, names: Iterable[str | None]) -> bool:
        """True when a request to this path, or to a view with these names, is not watched."""
        if self.ignore_prefixes and path.startswith(self.ignore_prefixes):
            return True
        return bool(self.ignore) and not self.ignore.isdisjoint(names)


def default_dir() -> str:
    """``RUNTIME_DIRECTORY`` (systemd; the first one) or a folder named after the user's id."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        return os.path.join(runtime, "slowhound")
    user = os.geteuid() if hasattr(os, "geteuid") else "user"
    return os.path.join(tempfile.gettempdir(), f"slowhound-{user}")


def problems(given: object) -> list[Problem]:
    """Everything that is wrong with a ``SLOWHOUND`` setting."""
    if not isinstance(given, Mapping):
        return [Problem("shape", "SLOWHOUND", "SLOWHOUND must be a dict.", "Write SLOWHOUND = {}.")]
    found = []
    for key, value in given.items():
        setting = SETTINGS.get(key)
        if setting is None:
            known = ", ".join(SETTINGS)
            found.append(
                Problem("unknown", str(key), f"SLOWHOUND has no key {key!r}.", f"Known: {known}.")
            )
        elif not setting.accepts(value):
            message = f"SLOWHOUND[{key!r}] must be {setting.must_be}, not {value!r}."
            found.append(Problem("value", key, message, setting.meaning))
    return found


def load(given: object) -> Config:
    """The ``Config`` of a ``SLOWHOUND`` setting; bad values are replaced by their defaults."""
    mapping = given if isinstance(given, Mapping) else {}

    def value(key: str) -> Any:
        setting = SETTINGS[key]
        found = mapping.get(key, setting.default)
        return found if setting.accepts(found) else setting.default

    slow_after = value("SLOW_AFTER")
    named = dict(slow_after) if isinstance(slow_after, Mapping) else {"*": slow_after}
    ignore = frozenset(value("IGNORE"))
    stream = value("STREAM")
    return Config(
        enabled=value("ENABLED"),
        dir=os.path.abspath(os.fspath(value("DIR") or default_dir())),
        format=value("FORMAT"),
        stream=None if stream is None else os.fspath(stream),
        slow_after=float(named.pop("*", SETTINGS["SLOW_AFTER"].default)),
        slow_after_by_name={name: float(seconds) for name, seconds in named.items()},
        ignore=ignore,
        ignore_prefixes=tuple(name for name in ignore if name.startswith("/")),
        locals=value("LOCALS"),
        store=value("STORE"),
        store_max_bytes=value("STORE_MAX_BYTES"),
        reports_max_bytes=value("REPORTS_MAX_BYTES"),
        sampling=dict(value("SAMPLING") or {}),
        sinks=tuple(value("SINKS")),
        tasks=tuple(value("TASKS")),
        service=value("SERVICE") or os.environ.get("OTEL_SERVICE_NAME") or None,
        release=value("RELEASE"),
        host=socket.gethostname(),
    )
