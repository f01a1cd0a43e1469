"""Settings: the table of the keys of ``SLOWHOUND``, with their defaults and what they must be.

``docs/settings.md`` and the system checks are made from it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from slowhound.redaction.names import OF_VALUES

GIB = 1024**3
MIB = 1024**2
DAY = 24 * 60 * 60
# Seconds, about 31 years: Python can wait for no more than 292 years, and no file is as old.
MOST_SECONDS = 10**9
# Bytes, or a count: a file system has no more, and notes in a box hold no more.
MOST = 2**63 - 1
# Samples a second. More than 1,000 are never taken, and less than that is none.
RAREST, MOST_OFTEN = 0.001, 1000
# What TASKS may name.
TASKS = ("commands", "django.tasks")
# What FLAMES["ALLOW"] may say, beside the dotted path of a callable.
ALLOWED = ("debug", "token", "staff")
# Keys of FLAMES, and their defaults.
FLAMES: dict[str, Any] = {
    "ALLOW": "debug",
    "EVERY": 1.0,
    "SECONDS": 60.0,
    "MAX_BYTES": 256 * MIB,
}


class Setting(NamedTuple):
    """One key of ``SLOWHOUND``: its default, what it must be, and what it means."""

    default: Any
    must_be: str
    accepts: Callable[[Any], bool]
    meaning: str


def is_number(value: object, least: float = 0, most: float = MOST_SECONDS) -> bool:
    """True for a number within these bounds, which is finite then; of seconds, where none is given.

    Whatever passes here goes into sums and waits, where a larger one would fail each time.
    """
    return isinstance(value, int | float) and type(value) is not bool and least <= value <= most


def _positive(value: object) -> bool:
    return is_number(value) and value != 0


def _rate(value: object) -> bool:
    return is_number(value, RAREST, MOST_OFTEN)


def _size(value: object) -> bool:
    return isinstance(value, int) and is_number(value, 1, MOST)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def is_path(value: object) -> bool:
    """True for a path as a text, or an object that gives one."""
    found = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    return isinstance(found, str) and "\0" not in found


def _path_or_none(value: object) -> bool:
    return value is None or is_path(value)


NOT_UTF_8 = "its name is not UTF-8, and DuckDB reads no such path"


def can_be_asked(path: str) -> bool:
    """False for a folder whose events are written, but no question could read: DuckDB cannot."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:  # bytes of a name that is not UTF-8 are surrogates in Python
        return False
    return True


def _folder_or_none(value: object) -> bool:
    if isinstance(value, str | os.PathLike):
        return is_path(value) and can_be_asked(os.fspath(value))
    return value is None


def _thresholds(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_number(each) for key, each in value.items())
    return is_number(value)


def _names(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(each, str) for each in value
    )


def _patterns(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(is_pattern, value))


def is_pattern(entry: object) -> bool:
    """True for an entry of ``MASK`` that can be used; the empty one would be found everywhere."""
    if not isinstance(entry, str) or entry in ("", OF_VALUES):
        return False
    try:
        re.compile(entry.removeprefix(OF_VALUES))
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _rates(value: object) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and set(value) <= {"ok", "disconnect"}
        and all(is_number(each, 0, 1) for each in value.values())
    )


def _sinks(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(each, str) or (isinstance(each, Mapping) and isinstance(each.get("sink"), str))
        for each in value
    )


def _limit(value: object) -> bool:
    if value is None:
        return True
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and _size(value[0])
        and _positive(value[1])
    )


def _tasks(value: object) -> bool:
    return isinstance(value, list | tuple) and all(each in TASKS for each in value)


def _flames(value: object) -> bool:
    if not isinstance(value, Mapping) or not set(value) <= set(FLAMES):
        return False
    given = {**FLAMES, **value}
    return (
        all(each in ALLOWED or "." in each for each in _listed(given["ALLOW"]))
        and is_number(given["EVERY"])
        and _positive(given["SECONDS"])
        and _size(given["MAX_BYTES"])
    )


def _listed(value: object) -> list[str]:
    """The names in ``value``, one or several; what is none of it becomes the empty name."""
    found = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    return [each if isinstance(each, str) else "" for each in found]


def _viewer(value: object) -> bool:
    if not isinstance(value, Mapping) or not set(value) <= {"ALLOW", "FROM"}:
        return False
    allow, source = value.get("ALLOW", "debug"), value.get("FROM")
    known = isinstance(allow, str) and (allow in ("debug", "staff") or "." in allow)
    return known and _text_or_none(source)


def _format(value: object) -> bool:
    return value in ("logfmt", "json")


SETTINGS: dict[str, Setting] = {
    "ENABLED": Setting(True, "True or False", _flag, "False switches everything off."),
    "DIR": Setting(
        None,
        "a path in UTF-8, or None",
        _folder_or_none,
        "Folder of boxes, events and reports; it must belong to the worker's user and be writable"
        " by nobody else. None: a 0700 folder of the user and the project under `RUNTIME_DIRECTORY`"
        " or the system's temporary folder, which is another one where the settings file lies"
        " elsewhere: set it where each release has a folder of its own.",
    ),
    "FORMAT": Setting("logfmt", "'logfmt' or 'json'", _format, "Format of the canonical line."),
    "STREAM": Setting(
        "auto",
        "'auto', a path or None",
        _path_or_none,
        "Where canonical lines go. `auto`: Gunicorn's access log when slowhound's `Logger` is"
        " used, else standard output; a path: appended to that file, or to"
        " what it is a link to, as `/dev/stdout`; None: nowhere.",
    ),
    "SLOW_AFTER": Setting(
        25.0,
        "seconds, or a mapping of view or route name to seconds",
        _thresholds,
        "Seconds until a request is reported as slow; of a stream, seconds without a part of it."
        " A mapping gives views or routes their own; `*` stands for all others (25 when it is"
        " missing).",
    ),
    "SAMPLE_AFTER": Setting(
        1.0,
        "seconds",
        is_number,
        "Seconds until a request is sampled for its [flame graph](flame-accuracy.md).",
    ),
    "SAMPLE_HZ": Setting(
        20,
        f"a number from {RAREST} to {MOST_OFTEN}",
        _rate,
        "Samples a second of each such request, on average; fewer when there are many at once.",
    ),
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
    "MASK": Setting(
        (),
        "a list or tuple of regular expressions",
        _patterns,
        "More names whose values are secret, beside those that are known. What begins with `value:`"
        " is looked for in texts instead; see [secrets](secrets.md).",
    ),
    "STORE": Setting(True, "True or False", _flag, "Writes events to JSON-lines segments."),
    "STORE_MAX_BYTES": Setting(
        GIB, "a number of bytes", _size, "Bytes that all segments together may take."
    ),
    "STORE_MAX_AGE": Setting(
        30 * DAY,
        "seconds above 0, or None",
        lambda value: value is None or _positive(value),
        "Seconds that events are kept, by file; None: as long as `STORE_MAX_BYTES` allows.",
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
        "Classes that reports of slow requests and of deaths are handed to, on a thread of their"
        " own.",
    ),
    "REPORT_LIMIT": Setting(
        (3, 600.0),
        "None, or a number of reports and seconds",
        _limit,
        "At most so many reports of one group (same view, same functions) go to the sinks in any so"
        " many seconds; the next one says how many were held back. None: all of them.",
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
        "a mapping with the keys ALLOW ('debug', 'token', 'staff', a dotted callable, or a list of"
        " them), EVERY, SECONDS and MAX_BYTES",
        _flames,
        "`ALLOW`: who may ask for a flame graph where DEBUG is off: nobody (`debug`), who has a"
        " `token`, `staff`, or whom a callable allows; see [flames](flames.md). `EVERY` (1.0):"
        " seconds from one to the next in a worker. `SECONDS` (60): how long one can take."
        " `MAX_BYTES` (256 MiB): what all flame graphs together may take.",
    ),
    "VIEWER": Setting(
        {"ALLOW": "debug"},
        "a mapping with ALLOW ('debug', 'staff' or a dotted path) and perhaps FROM (a string)",
        _viewer,
        "Who may use the [viewer](viewer.md), where it is mounted. `debug`: this machine and staff,"
        " while `DEBUG` is on; `staff`: users with `is_staff`; else the dotted path of a function"
        " that is given the request. `FROM`: `clickhouse://...` instead of `DIR`.",
    ),
    "SERVICE": Setting(
        None, "a string or None", _text_or_none, "Name of the service, in each event."
    ),
    "RELEASE": Setting(
        None, "a string or None", _text_or_none, "Version of the application, in each event."
    ),
}
