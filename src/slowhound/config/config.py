"""Reads the settings, see ``settings``, once into a frozen ``Config``.

This module knows no framework: it gets a mapping (``from_django`` has Django's settings) and
returns a ``Config``. A bad value never stops the application: the default is used, and ``problems``
lists what is wrong (Django's system checks print it).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from slowhound.config.default_dir import default_folder, host_name
from slowhound.config.rules import FLAMES, is_pattern
from slowhound.config.settings import DAY, GIB, MIB, SETTINGS
from slowhound.redaction.masking import text
from slowhound.redaction.plain_data import as_text, object_text
from slowhound.runtime.app_files import absolute
from slowhound.runtime.foreign import is_foreign


class Problem(NamedTuple):
    """One thing that is wrong with the settings, and what to do."""

    kind: str  # "unknown", "value", "shape"
    key: str
    message: str
    hint: str


class Limit(NamedTuple):
    """At most so many reports of one group in any ``seconds``."""

    most: int
    seconds: float


DEFAULT_LIMIT = Limit(*SETTINGS["REPORT_LIMIT"].default)


@dataclass(frozen=True)
class Config:
    """The settings as the rest of slowhound reads them; ``SETTINGS`` has their meanings."""

    enabled: bool = True
    dir: str = ""
    format: str = "logfmt"
    stream: str | None = "auto"
    slow_after: float = 25.0
    slow_after_by_name: Mapping[str, float] = field(default_factory=dict)
    sample_after: float = 1.0
    sample_hz: float = 20
    ignore: frozenset[str] = frozenset()
    ignore_prefixes: tuple[str, ...] = ()
    locals: bool = False
    mask: tuple[str, ...] = ()
    store: bool = True
    store_max_bytes: int = GIB
    store_max_age: float | None = 30 * DAY
    reports_max_bytes: int = 256 * MIB
    reports_dir: str | None = None  # None: DIR/reports
    report_files: bool = True
    watch: bool = True
    sampling: Mapping[str, float] = field(default_factory=dict)
    sinks: tuple[Any, ...] = ()
    report_limit: Limit | None = DEFAULT_LIMIT
    tasks: tuple[str, ...] = ()
    flames_allow: tuple[str, ...] = ("debug",)
    flames_every: float = 1.0
    flames_seconds: float = 60.0
    flames_max_bytes: int = 256 * MIB
    flames_dir: str | None = None  # None: DIR/flames
    viewer: Mapping[str, Any] = field(default_factory=dict)
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
        """The lowest threshold that any request can have; the hound must check more often."""
        return min((self.slow_after, *self.slow_after_by_name.values()))

    def ignored(self, path: str, names: Iterable[str | None]) -> bool:
        """True when a request to this path, or to a view with these names, is not watched."""
        if self.ignore_prefixes and path.startswith(self.ignore_prefixes):
            return True
        return bool(self.ignore) and not self.ignore.isdisjoint(names)


def problems(given: object) -> list[Problem]:
    """Everything that is wrong with a ``SLOWHOUND`` setting."""
    if not isinstance(given, Mapping):
        return [Problem("shape", "SLOWHOUND", "SLOWHOUND must be a dict.", "Write SLOWHOUND = {}.")]
    found = []
    for key, value in given.items():
        setting = SETTINGS.get(key)
        if setting is None:
            known = ", ".join(SETTINGS)
            message = f"SLOWHOUND has no key {key!r}."
            found.append(Problem("unknown", as_text(key), message, f"Known: {known}."))
        elif not accepts(setting.accepts, value):
            given_text = text(shown(value))
            message = f"SLOWHOUND[{key!r}] must be {setting.must_be}, not {given_text}."
            found.append(Problem("value", key, message, setting.meaning))
    return found


def accepts(rule: Callable[[Any], bool], value: Any) -> bool:
    """True when the rule accepts the value; False also where the value's own code fails."""
    try:
        return rule(value)
    except Exception as exc:
        if is_foreign(exc, bare=False):
            raise
        return False


def shown(value: object) -> str:
    """Its own text, or its class where that fails."""
    try:
        return repr(value)
    except Exception as exc:
        if is_foreign(exc, bare=False):
            raise
        return object_text(value)


def load(given: object, project: str = "") -> Config:
    """The ``Config`` of a ``SLOWHOUND`` setting; bad values are replaced by their defaults.

    It never fails, whatever the settings hold and whatever this machine lacks.

    Args:
        given: the setting.
        project: the name of the default folder, see ``default_folder``.
    """
    try:
        return _load(given, project)
    except Exception as exc:
        if is_foreign(exc, bare=False):
            raise
        # A value that changes while it is read, or is larger than a float can be.
        return _load(_sound(given), project)


def _sound(given: Any) -> dict[str, Any]:
    """Those of the settings that can be read."""

    def can_be_read(key: str) -> bool:
        return key in given and bool(_load({key: given[key]}, ""))

    return {key: given[key] for key in SETTINGS if accepts(can_be_read, key)}


def _stream(given: Any) -> str | None:
    """A path is made absolute, as that of the folder: the application may change its folder."""
    found = None if given is None else os.fspath(given)
    return absolute(found) if found not in (None, "", "auto") else found


def _mask(given: Any) -> tuple[str, ...]:
    """The entries that can be used: a mistake in one must not show what the others mask."""
    return tuple(filter(is_pattern, given)) if isinstance(given, list | tuple) else ()


def _load(given: object, project: str) -> Config:
    mapping = given if isinstance(given, Mapping) else {}

    def value(key: str) -> Any:
        setting = SETTINGS[key]
        found = mapping.get(key, setting.default)
        return found if accepts(setting.accepts, found) else setting.default

    slow_after = value("SLOW_AFTER")
    named = dict(slow_after) if isinstance(slow_after, Mapping) else {"*": slow_after}
    ignore = frozenset(value("IGNORE"))
    stream, folder = value("STREAM"), value("DIR")
    limit = value("REPORT_LIMIT")
    flames = {**FLAMES, **value("FLAMES")}
    allow = flames["ALLOW"]
    return Config(
        enabled=value("ENABLED"),
        dir=absolute(os.fspath(folder) if folder else default_folder(project)),
        format=value("FORMAT"),
        stream=_stream(stream),
        slow_after=float(named.pop("*", SETTINGS["SLOW_AFTER"].default)),
        slow_after_by_name={name: float(seconds) for name, seconds in named.items()},
        sample_after=float(value("SAMPLE_AFTER")),
        sample_hz=float(value("SAMPLE_HZ")),
        ignore=ignore,
        ignore_prefixes=tuple(name for name in ignore if name.startswith("/")),
        locals=value("LOCALS"),
        mask=_mask(mapping.get("MASK")),
        store=value("STORE"),
        store_max_bytes=value("STORE_MAX_BYTES"),
        store_max_age=value("STORE_MAX_AGE"),
        reports_max_bytes=value("REPORTS_MAX_BYTES"),
        sampling=dict(value("SAMPLING") or {}),
        sinks=tuple(value("SINKS")),
        report_limit=None if limit is None else Limit(limit[0], float(limit[1])),
        tasks=tuple(value("TASKS")),
        flames_allow=(allow,) if isinstance(allow, str) else tuple(allow),
        flames_every=float(flames["EVERY"]),
        flames_seconds=float(flames["SECONDS"]),
        flames_max_bytes=flames["MAX_BYTES"],
        viewer=dict(value("VIEWER")),
        service=value("SERVICE") or os.environ.get("OTEL_SERVICE_NAME") or None,
        release=value("RELEASE"),
        host=host_name(),
    )
