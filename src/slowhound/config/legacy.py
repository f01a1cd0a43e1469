"""Reads the settings of dogslow and of the flame-graph middleware, with their old defaults.

A key of ``SLOWHOUND`` wins over them. A bad value is left out, and ``problems`` names it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from slowhound.config.config import Config, Problem, accepts, shown
from slowhound.config.rules import are_names, is_number, is_path
from slowhound.config.settings import SETTINGS
from slowhound.redaction.masking import text
from slowhound.runtime.app_files import absolute

Lookup = Callable[[str, Any], Any]


class LegacySetting(NamedTuple):
    """One old setting: what it must be, what it means, and the key of SLOWHOUND it stands for."""

    must_be: str
    accepts: Callable[[Any], bool]
    meaning: str
    instead: str


def _text(value: object) -> bool:
    return isinstance(value, str)


def _flag(value: object) -> bool:
    return isinstance(value, bool | int)


def _texts(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    )


def _level(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and value in _levels())


def _levels() -> dict[str, int]:
    return logging.getLevelNamesMapping()


LEGACY: dict[str, LegacySetting] = {
    "DOGSLOW": LegacySetting(
        "True or False", _flag, "False: no slow request is reported.", "SLOW_AFTER"
    ),
    "DOGSLOW_TIMER": LegacySetting(
        "seconds", is_number, "Seconds until a request is reported (25).", "SLOW_AFTER"
    ),
    "DOGSLOW_OUTPUT": LegacySetting(
        "a folder", is_path, "Where report files go (the temporary folder).", "DIR"
    ),
    "DOGSLOW_LOG_TO_FILE": LegacySetting(
        "True or False", _flag, "Write report files (True).", "DIR"
    ),
    "DOGSLOW_EMAIL_TO": LegacySetting(
        "an address or a list of them", _texts, "With DOGSLOW_EMAIL_FROM: mail reports.", "SINKS"
    ),
    "DOGSLOW_EMAIL_FROM": LegacySetting("an address", _text, "See DOGSLOW_EMAIL_TO.", "SINKS"),
    "DOGSLOW_LOGGER": LegacySetting(
        "a logger's name", _text, "Log reports to this logger.", "SINKS"
    ),
    "DOGSLOW_LOG_LEVEL": LegacySetting(
        "a level's name or number", _level, "Level of those (WARNING).", "SINKS"
    ),
    "DOGSLOW_LOG_TO_SENTRY": LegacySetting(
        "True or False",
        _flag,
        "Send reports to Sentry where `sentry_sdk` is initialised; else log a short message with"
        " the stack as extra, for Sentry.",
        "SINKS",
    ),
    "DOGSLOW_IGNORE_URLS": LegacySetting(
        "a list or tuple of names", are_names, "Names of URL patterns not watched.", "IGNORE"
    ),
    "DOGSLOW_STACK_VARS": LegacySetting(
        "True or False", _flag, "Local variables in reports (False).", "LOCALS"
    ),
    "FLAMES_DIR": LegacySetting("a folder", is_path, "Where flame graphs go (DIR/flames).", "DIR"),
}
_MISSING = object()


def problems(lookup: Lookup) -> list[Problem]:
    """Everything that is wrong with the old settings."""
    found = []
    for name, setting in LEGACY.items():
        value = lookup(name, _MISSING)
        if value is not _MISSING and value is not None and not accepts(setting.accepts, value):
            message = f"{name} must be {setting.must_be}, not {text(shown(value))}."
            found.append(Problem("value", name, message, setting.meaning))
    to, sender = lookup("DOGSLOW_EMAIL_TO", None), lookup("DOGSLOW_EMAIL_FROM", None)
    if (to is None) != (sender is None):
        message = "DOGSLOW_EMAIL_TO and DOGSLOW_EMAIL_FROM only work together; no mail is sent."
        found.append(Problem("value", "DOGSLOW_EMAIL_TO", message, "Set both."))
    return found


def apply(config: Config, given: object, lookup: Lookup) -> Config:
    """``config`` with the values of the old settings, where ``given`` (SLOWHOUND) has none."""
    own = set(given) if isinstance(given, Mapping) else set()

    def old(name: str, default: Any = None) -> Any:
        value = lookup(name, default)
        known = value is not None and accepts(LEGACY[name].accepts, value)
        return value if known else default

    changes: dict[str, Any] = {}
    if "SLOW_AFTER" not in own:
        changes["watch"] = bool(old("DOGSLOW", default=True))
        changes["slow_after"] = float(old("DOGSLOW_TIMER", SETTINGS["SLOW_AFTER"].default))
    if "LOCALS" not in own:
        changes["locals"] = bool(old("DOGSLOW_STACK_VARS", default=False))
    if "IGNORE" not in own:
        changes["ignore"] = frozenset(old("DOGSLOW_IGNORE_URLS", ()))
    if "DIR" not in own:
        if old("DOGSLOW_OUTPUT") is not None:
            changes["reports_dir"] = absolute(os.fspath(old("DOGSLOW_OUTPUT")))
        changes["report_files"] = bool(old("DOGSLOW_LOG_TO_FILE", default=True))
    # Also where DIR is set: the folder of graphs has a setting of its own.
    if old("FLAMES_DIR") is not None:
        changes["flames_dir"] = absolute(os.fspath(old("FLAMES_DIR")))
    if "SINKS" not in own:
        changes["sinks"] = tuple(_sinks(old))
    return replace(config, **changes)


def _sinks(old: Callable[..., Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    to, sender = old("DOGSLOW_EMAIL_TO"), old("DOGSLOW_EMAIL_FROM")
    if to is not None and sender is not None:
        addresses = [to] if isinstance(to, str) else list(to)
        as_it_was = {"plain": True, "follow_ups": False}
        email = {"sink": "slowhound.sinks.email.Email", "to": addresses, "sender": sender}
        found.append(email | as_it_was)
    to_sentry = bool(old("DOGSLOW_LOG_TO_SENTRY", default=False))
    if to_sentry or old("DOGSLOW_LOGGER") is not None:
        level = old("DOGSLOW_LOG_LEVEL", "WARNING")
        sink = "dogslow_sentry.make" if to_sentry else "logger.PythonLogger"
        found.append(
            {
                "sink": f"slowhound.sinks.{sink}",
                "name": old("DOGSLOW_LOGGER"),
                "level": _levels()[level] if isinstance(level, str) else level,
                "brief": to_sentry,
                "follow_ups": False,
            }
        )
    return found
