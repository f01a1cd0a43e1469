"""From Django's settings to a ``Config``, read once and again when a test overrides them."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from django.conf import settings

from slowhound.config.config import Config, load
from slowhound.config.default_dir import absolute, current_folder, project_name
from slowhound.config.legacy import LEGACY, apply
from slowhound.instrument import cache, template
from slowhound.recorder import process
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.app_files import add_app_package, know_libraries
from slowhound.system.guard import guard
from slowhound.system.losses import find, missing

_guard = guard("settings")
# Settings that name classes, and what wraps those that are not wrapped yet.
_CLASSES = {"CACHES": cache.wrap_backends, "TEMPLATES": template.wrap_engines}
MIDDLEWARE = "slowhound.middleware.SlowhoundMiddleware"


def get_config() -> Config:
    """The settings of this process and its user: with --preload root has read them before.

    Where they cannot be made sense of slowhound is off, and says so once.

    Raises:
        Exception: only what Django raises where its own settings cannot be loaded.
    """
    getattr(
        settings, "SLOWHOUND", {}
    )  # loads Django's settings, which may fail for its own reasons
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    try:
        return _read(user)
    except Exception as exc:
        if _guard.failed(exc):
            raise
        return Config(enabled=False)


@functools.lru_cache(maxsize=2)
def _read(_user: int) -> Config:
    for name in (getattr(settings, "ROOT_URLCONF", None), _settings_module()):
        if isinstance(name, str) and name:
            add_app_package(name)
    know_libraries()
    given = getattr(settings, "SLOWHOUND", {})
    return apply(load(given, project()), given, lookup)


def project() -> str:
    """The name of this project, for the folder that it has without ``DIR``.

    It is told by its settings module and where that lies; without one by its URLs and the folder
    in which it was started.
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


def lookup(name: str, default: Any) -> Any:
    """A setting of the application."""
    return getattr(settings, name, default)


def _forget(*, setting: str, **_: Any) -> None:
    # override_settings in a test: the next handler reads the settings anew.
    if setting == "SLOWHOUND" or setting in LEGACY:
        _read.cache_clear()
        process.stop()
    elif setting in _CLASSES and process.get() is not None:
        with _guard:
            _CLASSES[setting]()


_changed = find("django.core.signals.setting_changed", "what a test overrides is not seen")
if _changed is not None:
    _changed.connect(_forget, dispatch_uid="slowhound")
