"""Django's settings for the site that is measured; the benchmark sets the environment.

A minimum on purpose: the less the application does, the larger slowhound's share is.
"""

import os
from typing import Any

SECRET_KEY = "bench"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "bench.site"
MIDDLEWARE = os.environ.get("BENCH_MIDDLEWARE", "").split()
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("BENCH_DATABASE", ":memory:"),
        "CONN_MAX_AGE": None,
    }
}
# The log of the raising view's traceback is not measured.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"null": {"class": "logging.NullHandler"}},
    "loggers": {"django.request": {"handlers": ["null"], "propagate": False}},
}
SLOWHOUND = {"DIR": os.environ["BENCH_DIR"]}
