"""Parses conditions on events: ``view=shop status>=500 time>1``.

All of them must hold. ``=`` and ``!=`` compare, ``~`` searches a part of a text, ``<`` and the like
compare numbers. For a field that an event does not have, only ``!=`` holds.
"""

from __future__ import annotations

import argparse
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from slowhound.event.fields import NAMES

# Short names of the fields that are filtered most.
SHORT_NAMES = {
    "type": "event_type",
    "id": "req_id",
    "method": "req_method",
    "path": "req_path",
    "view": "resp_view",
    "status": "resp_status",
    "time": "resp_time",
    "outcome": "resp_outcome",
    "task": "task_name",
    "error": "exc_type",
}
_CONDITION = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(!=|>=|<=|=|~|<|>)(.*)", re.DOTALL)
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Event = Mapping[str, Any]
Condition = Callable[[Event], bool]


def condition(given: str) -> Condition:
    """One condition.

    Raises:
        argparse.ArgumentTypeError: it is not a condition, or names no field.
    """
    found = _CONDITION.fullmatch(given)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{given!r} is not like view=shop, status>=500 or path~cart"
        )
    name, sign, value = SHORT_NAMES.get(found[1], found[1]), found[2], found[3]
    if name not in NAMES and "_" not in name:
        known = ", ".join(SHORT_NAMES)
        raise argparse.ArgumentTypeError(f"no field {name!r}; short names are: {known}")
    if sign in _ORDER:
        return _ordered(name, _ORDER[sign], value)
    if sign == "~":
        return lambda event: event.get(name) is not None and value in str(event[name])
    if sign == "=":
        return lambda event: _same(event.get(name), value)
    return lambda event: not _same(event.get(name), value)


def _ordered(name: str, compare: Callable[[float, float], bool], given: str) -> Condition:
    try:
        bound = float(given)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number") from exc

    def holds(event: Event) -> bool:
        value = event.get(name)
        return isinstance(value, int | float) and compare(value, bound)

    return holds


def _same(value: Any, given: str) -> bool:
    if value is None or isinstance(value, str):
        return (value or "") == given and value is not None
    if isinstance(value, bool):
        return given.lower() == str(value).lower()
    try:
        return isinstance(value, int | float) and value == float(given)
    except ValueError:
        return False
