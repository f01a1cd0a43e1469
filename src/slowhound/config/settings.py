"""The table of settings: the keys of ``SLOWHOUND``, with their defaults and what they must be.

``docs/settings.md`` and the system checks are made from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from slowhound.config import rules

GIB = 1024**3
MIB = 1024**2
DAY = 24 * 60 * 60


class Setting(NamedTuple):
    """One key of ``SLOWHOUND``: its default, what it must be, and what it means."""

    default: Any
    must_be: str
    accepts: Callable[[Any], bool]
    meaning: str


SETTINGS: dict[str, Setting] = {
    "ENABLED": Setting(True, "True or False", rules.is_flag, "False switches everything off."),
    "DIR": Setting(
        None,
        "a path in UTF-8, or None",
        rules.is_folder_or_none,
        "Folder of boxes, events and reports; it must belong to the worker's user and be writable"
        " by nobody else. None: a 0700 folder of the user and the project under `RUNTIME_DIRECTORY`"
        " or the system's temporary folder, which is another one where the settings file lies"
        " elsewhere: set it where each release has a folder of its own.",
    ),
    "FORMAT": Setting(
        "logfmt", "'logfmt' or 'json'", rules.is_format, "Format of the canonical line."
    ),
    "STREAM": Setting(
        "auto",
        "'auto', a path or None",
        rules.is_path_or_none,
        "Where canonical lines go. `auto`: Gunicorn's access log when slowhound's `Logger` is"
        " used, else standard output; a path: appended to that file, or to"
        " what it is a link to, as `/dev/stdout`; None: nowhere.",
    ),
    "SLOW_AFTER": Setting(
        25.0,
        "seconds, or a mapping of view or route name to seconds",
        rules.are_thresholds,
        "Seconds until a request is reported as slow; of a stream, seconds without a part of it."
        " A mapping gives views or routes their own; `*` stands for all others (25 when it is"
        " missing).",
    ),
    "SAMPLE_AFTER": Setting(
        1.0,
        "seconds",
        rules.is_number,
        "Seconds until a request is sampled for its [flame graph](flame-accuracy.md).",
    ),
    "SAMPLE_HZ": Setting(
        20,
        f"a number from {rules.LOWEST_HZ} to {rules.HIGHEST_HZ}",
        rules.is_rate,
        "Samples a second of each such request, on average; fewer when there are many at once.",
    ),
    "IGNORE": Setting(
        (),
        "a list or tuple of strings",
        rules.are_names,
        "View names, route names, or path prefixes (with a leading `/`) that are never reported"
        " as slow. They still have their canonical line.",
    ),
    "LOCALS": Setting(
        False, "True or False", rules.is_flag, "Puts local variables, masked, into slow reports."
    ),
    "MASK": Setting(
        (),
        "a list or tuple of regular expressions",
        rules.are_patterns,
        "More names whose values are secret, beside those that are known. A pattern that begins"
        " with `value:` is searched in texts instead; see [secrets](secrets.md).",
    ),
    "STORE": Setting(True, "True or False", rules.is_flag, "Writes events to JSON-lines segments."),
    "STORE_MAX_BYTES": Setting(
        GIB, "a number of bytes", rules.is_size, "Bytes that all segments together may take."
    ),
    "STORE_MAX_AGE": Setting(
        30 * DAY,
        "seconds above 0, or None",
        rules.is_positive_or_none,
        "Seconds that events are kept, by file; None: as long as `STORE_MAX_BYTES` allows.",
    ),
    "REPORTS_MAX_BYTES": Setting(
        256 * MIB, "a number of bytes", rules.is_size, "Bytes that all reports together may take."
    ),
    "SAMPLING": Setting(
        None,
        "None or a mapping of outcome ('ok', 'disconnect') to a rate from 0 to 1",
        rules.are_rates,
        "Share of requests whose events are kept, by outcome. Errors and slow requests are always"
        " kept. The event has the rate as `sample_rate`.",
    ),
    "SINKS": Setting(
        (),
        "a list of dotted paths, or of mappings with a 'sink' key",
        rules.are_sinks,
        "Classes that get the reports of slow requests and of deaths, on a thread of their own.",
    ),
    "REPORT_LIMIT": Setting(
        (3, 600.0),
        "None, or a number of reports and seconds",
        rules.is_limit,
        "At most so many reports of one group (same view, same functions) go to the sinks in any so"
        " many seconds; the next one has the number of those held back. None: all of them.",
    ),
    "TASKS": Setting(
        (),
        "a list or tuple of 'commands', 'django.tasks'",
        rules.are_tasks,
        "Background work that has events without a decorator: management commands, and what"
        " `django.tasks` (Django 6.0) runs.",
    ),
    "FLAMES": Setting(
        {"ALLOW": "debug"},
        "a mapping with the keys ALLOW ('debug', 'token', 'staff', a dotted callable, or a list of"
        " them), EVERY, SECONDS and MAX_BYTES",
        rules.is_flames,
        "`ALLOW`: who may request a flame graph where DEBUG is off: no one (`debug`), requests with"
        " a `token`, `staff`, or users whom a callable allows; see [flames](flames.md). `EVERY`"
        " (1.0): seconds from one to the next in a worker. `SECONDS` (60): the longest one."
        " `MAX_BYTES` (256 MiB): bytes that all flame graphs together may take.",
    ),
    "VIEWER": Setting(
        {"ALLOW": "debug"},
        "a mapping with ALLOW ('debug', 'staff' or a dotted path) and perhaps FROM (a string)",
        rules.is_viewer,
        "Who may use the [viewer](viewer.md), where it is mounted. `debug`: this machine and staff,"
        " while `DEBUG` is on; `staff`: users with `is_staff`; else the dotted path of a function"
        " that gets the request. `FROM`: `clickhouse://...` instead of `DIR`.",
    ),
    "SERVICE": Setting(
        None, "a string or None", rules.is_text_or_none, "Name of the service, in each event."
    ),
    "RELEASE": Setting(
        None,
        "a string or None",
        rules.is_text_or_none,
        "Version of the application, in each event.",
    ),
}
