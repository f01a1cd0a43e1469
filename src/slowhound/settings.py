"""Settings: the table of the keys of ``SLOWHOUND``, with their defaults and what they must be.

``docs/settings.md`` and the system checks are made from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
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
