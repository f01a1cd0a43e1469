"""Settings of the site; each test passes its own in the environment."""

from __future__ import annotations

from typing import Any

from tests.site.options import HERE, OPTIONS, SCRATCH

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.site.urls"
WSGI_APPLICATION = "tests.site.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
STATIC_ROOT = str(HERE / "static")

INSTALLED_APPS = ["tests.site"]
MIDDLEWARE = [*OPTIONS.get("extra_middleware", []), "tests.site.middleware.ConvertsErrors"]

if OPTIONS.get("slowhound") is not None:
    SLOWHOUND = OPTIONS["slowhound"]
    INSTALLED_APPS.insert(0, "slowhound")
    if OPTIONS.get("middleware", True):
        MIDDLEWARE.insert(0, "slowhound.middleware.SlowhoundMiddleware")

DATABASES: dict[str, Any] = OPTIONS.get("databases") or {
    alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(SCRATCH / f"{alias}.sqlite3")}
    for alias in ("default", "other")
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [str(HERE / "templates")],
        "APP_DIRS": False,
    }
]

globals().update(OPTIONS.get("django", {}))
