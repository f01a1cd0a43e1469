"""Configures a small Django in the process of the tests themselves."""

from __future__ import annotations

import tempfile

import django
from django.conf import settings


def configure() -> None:
    """Sets the same settings for all tests, so that each test file also passes alone."""
    settings.configure(
        DEBUG=False,
        SECRET_KEY="unit",
        ROOT_URLCONF="tests.unit.views",
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["slowhound.middleware.SlowhoundMiddleware"],
        INSTALLED_APPS=["slowhound"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        },
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [
                        (
                            "django.template.loaders.locmem.Loader",
                            {
                                "outer.html": "a\n{% include 'inner.html' %}",
                                "inner.html": "\n\n{{ thing.broken }}",
                            },
                        )
                    ]
                },
            }
        ],
        SLOWHOUND={"DIR": tempfile.mkdtemp(prefix="slowhound-tests-"), "STREAM": None},
    )
    django.setup()
