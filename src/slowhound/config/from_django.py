"""Makes a ``Config`` of Django's settings, once, and again when a test overrides them."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings

from slowhound.config.config import Config, load
from slowhound.config.default_dir import project_name
from slowhound.config.legacy import LEGACY, apply
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.app_files import absolute, add_app_package, current_folder, know_libraries
from slowhound.runtime.library_names import find, missing
from slowhound.system.guard import guard

_guard = guard("settings")
# Called with the name of each setting that a test overrides.
_changed_callbacks: list[Callable[[str], None]] = []
MIDDLEWARE = "slowhound.middleware.SlowhoundMiddleware"


def get_config() -> Config:
    """The settings of this process and its user: with --preload root has read them before.

    Where they cannot be read slowhound is off, and logs that once.

    Raises:
        Exception: only what Django raises where its own settings cannot be loaded.
    """
    # Loads Django's settings, which may fail for its own reasons.
    getattr(settings, "SLOWHOUND", {})
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    try:
        return _read(user)
    except Exception as exc:
        if _guard.failed(exc):
            raise
        return Config(enabled=False)


@functools.lru_cache(maxsize=2)
def _read(_user: int) -> Config:
    given = getattr(settings, "SLOWHOUND", {})
    config = apply(load(given, project()), given, lookup)
    if config.enabled:
        # Here, and not where a recorder starts: commands, and Gunicorn's arbiter with --preload,
        # have none, and name the application's frames in what they write for another process.
        with _guard:
            for name in _application_modules():
                add_app_package(name)
            know_libraries()
    return config


def project() -> str:
    """The name of this project, for the folder that it has without ``DIR``.

    It is made from its settings module and the path of that; without one from its URLs and the
    folder in which it was started.
    """
    module = sys.modules.get(_settings_module() or "")
    file = getattr(module, "__file__", None)
    if module is not None and isinstance(file, str):
        path = absolute(file)
        package = module.__name__.partition(".")[0]
        in_package = "." in module.__name__
        label = package if in_package else os.path.basename(os.path.dirname(path))
        return project_name(label, module.__name__, path)
    urls = getattr(settings, "ROOT_URLCONF", None)
    main = getattr(sys.modules.get("__main__"), "__file__", None) if urls == "__main__" else None
    place = absolute(main) if isinstance(main, str) else current_folder()
    return project_name(os.path.basename(place), as_text(urls), place)


def _settings_module() -> str | None:
    found: str | None = getattr(settings, "SETTINGS_MODULE", "")
    if found == "":
        missing("django.conf.Settings:SETTINGS_MODULE", "frames of its package may not be yours")
    return found


def _application_modules() -> list[str]:
    """The modules by which the application is known: of its URLs, of its settings."""
    names = (getattr(settings, "ROOT_URLCONF", None), _settings_module())
    return [name for name in names if isinstance(name, str) and name]


def lookup(name: str, default: Any) -> Any:
    """A setting of the application."""
    return getattr(settings, name, default)


def is_ours(setting: str) -> bool:
    """True for a setting of Django's that a ``Config`` is made from."""
    return setting == "SLOWHOUND" or setting in LEGACY


def on_change(callback: Callable[[str], None]) -> None:
    """Calls this with the name of each setting that a test overrides, once the old is dropped."""
    _changed_callbacks.append(callback)


def _forget(*, setting: str, **_: Any) -> None:
    # override_settings in a test: the next handler reads the settings again.
    if is_ours(setting):
        _read.cache_clear()
    for callback in _changed_callbacks:
        callback(setting)


_changed = find("django.core.signals.setting_changed", "what a test overrides is not seen")
if _changed is not None:
    _changed.connect(_forget, dispatch_uid="slowhound")
