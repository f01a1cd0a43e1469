"""Rules that say which values a setting accepts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from slowhound.redaction.names import OF_VALUES

# Seconds, about 31 years: Python can wait for no more than 292 years, and no file is as old.
MOST_SECONDS = 10**9
# Bytes, or a count: a file system has no more, and a payload in a box holds no more.
LARGEST_SIZE = 2**63 - 1
# Samples a second. More than 1,000 are never taken, and less than 0.001 would be none.
LOWEST_HZ, HIGHEST_HZ = 0.001, 1000
# What TASKS may name.
TASKS = ("commands", "django.tasks")
# What FLAMES["ALLOW"] may name, beside the dotted path of a callable.
ALLOWED = ("debug", "token", "staff")
# Keys of FLAMES, and their defaults.
FLAMES: dict[str, Any] = {
    "ALLOW": "debug",
    "EVERY": 1.0,
    "SECONDS": 60.0,
    "MAX_BYTES": 256 * 1024**2,
}
NOT_UTF_8 = "its name is not UTF-8, and DuckDB reads no such path"


def is_number(value: object, least: float = 0, most: float = MOST_SECONDS) -> bool:
    """True for a number within these bounds, which is then finite; the defaults are for seconds.

    A value that passes is used in sums and waits, where a larger one would fail each time.
    """
    return isinstance(value, int | float) and type(value) is not bool and least <= value <= most


def is_positive(value: object) -> bool:
    """True for seconds above 0."""
    return is_number(value) and value != 0


def is_positive_or_none(value: object) -> bool:
    """True for seconds above 0, or None."""
    return value is None or is_positive(value)


def is_rate(value: object) -> bool:
    """True for a number of samples a second."""
    return is_number(value, LOWEST_HZ, HIGHEST_HZ)


def is_size(value: object) -> bool:
    """True for a number of bytes, or a count, above 0."""
    return isinstance(value, int) and is_number(value, 1, LARGEST_SIZE)


def is_flag(value: object) -> bool:
    """True for True and False."""
    return isinstance(value, bool)


def is_text_or_none(value: object) -> bool:
    """True for a string, or None."""
    return value is None or isinstance(value, str)


def is_format(value: object) -> bool:
    """True for the name of a format of lines."""
    return value in ("logfmt", "json")


def is_path(value: object) -> bool:
    """True for a path as a string, or an object that gives one."""
    found = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    return isinstance(found, str) and "\0" not in found


def is_path_or_none(value: object) -> bool:
    """True for a path, or None."""
    return value is None or is_path(value)


def can_be_queried(path: str) -> bool:
    """False for a folder whose events are written, but that no query could read."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:  # bytes of a name that is not UTF-8 are surrogates in Python
        return False
    return True


def is_folder_or_none(value: object) -> bool:
    """True for a path that can be queried, or None."""
    if isinstance(value, str | os.PathLike):
        return is_path(value) and can_be_queried(os.fspath(value))
    return value is None


def are_thresholds(value: object) -> bool:
    """True for seconds, or a mapping of names to seconds."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_number(each) for key, each in value.items())
    return is_number(value)


def are_names(value: object) -> bool:
    """True for a list of strings, or another collection of them."""
    return isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(each, str) for each in value
    )


def are_patterns(value: object) -> bool:
    """True for a list of entries of ``MASK``."""
    return isinstance(value, list | tuple) and all(map(is_pattern, value))


def is_pattern(entry: object) -> bool:
    """True for an entry of ``MASK`` that can be used; an empty one would match everywhere."""
    if not isinstance(entry, str) or entry in ("", OF_VALUES):
        return False
    try:
        re.compile(entry.removeprefix(OF_VALUES))
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def are_rates(value: object) -> bool:
    """True for ``SAMPLING``: shares by outcome, or None."""
    return value is None or (
        isinstance(value, Mapping)
        and set(value) <= {"ok", "disconnect"}
        and all(is_number(each, 0, 1) for each in value.values())
    )


def are_sinks(value: object) -> bool:
    """True for ``SINKS``: dotted paths, and mappings that have one."""
    return isinstance(value, list | tuple) and all(
        isinstance(each, str) or (isinstance(each, Mapping) and isinstance(each.get("sink"), str))
        for each in value
    )


def is_limit(value: object) -> bool:
    """True for a number of reports and seconds, or None."""
    if value is None:
        return True
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and is_size(value[0])
        and is_positive(value[1])
    )


def are_tasks(value: object) -> bool:
    """True for ``TASKS``."""
    return isinstance(value, list | tuple) and all(each in TASKS for each in value)


def is_flames(value: object) -> bool:
    """True for ``FLAMES``."""
    if not isinstance(value, Mapping) or not set(value) <= set(FLAMES):
        return False
    given = {**FLAMES, **value}
    return (
        all(each in ALLOWED or "." in each for each in _listed(given["ALLOW"]))
        and is_number(given["EVERY"])
        and is_positive(given["SECONDS"])
        and is_size(given["MAX_BYTES"])
    )


def _listed(value: object) -> list[str]:
    """The names in ``value``, one or several; what is no name becomes the empty one."""
    found = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    return [each if isinstance(each, str) else "" for each in found]


def is_viewer(value: object) -> bool:
    """True for ``VIEWER``."""
    if not isinstance(value, Mapping) or not set(value) <= {"ALLOW", "FROM"}:
        return False
    allow, source = value.get("ALLOW", "debug"), value.get("FROM")
    known = isinstance(allow, str) and (allow in ("debug", "staff") or "." in allow)
    return known and is_text_or_none(source)
