"""From Django's settings to a ``Config``, read once and again when a test overrides them."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from django.conf import settings

from slowhound import recorder
from slowhound.config import Config, load
from slowhound.legacy import LEGACY, apply
from slowhound.losses import find, missing
from slowhound.paths import add_app_package

MIDDLEWARE = "slowhound.middleware.SlowhoundMiddleware"


def get_config() -> Config:
    """The settings of this process and its user: with --preload root has read them before."""
    return _read(os.geteuid() if hasattr(os, "geteuid") else 0)


@functools.lru_cache(maxsize=2)
def _read(_user: int) -> Config:
    for name in (getattr(settings, "ROOT_URLCONF", None), _settings_module()):
        if name and name.partition(".")[0] in sys.modules:
            add_app_package(name)
    given = getattr(settings, "SLOWHOUND", {})
    return apply(load(given), given, lookup)


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
        recorder.stop()


_changed = find("django.core.signals.setting_changed", "what a test overrides is not seen")
if _changed is not None:
    _changed.connect(_forget, dispatch_uid="slowhound")
