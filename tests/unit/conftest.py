"""A small Django in this process, and slowhound loud: a bug of ours fails the test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.test import Client
from django.test.utils import override_settings

from slowhound import guard, losses, recorder

SCRATCH = tempfile.mkdtemp(prefix="slowhound-unit-")

if not settings.configured:
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
        SLOWHOUND={"DIR": SCRATCH, "STREAM": None},
    )
    django.setup()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Each test begins with nothing counted, and a guard that raises what it caught."""
    guard.loud = True
    guard.reset()
    losses.reset()
    yield
    recorder.stop()
    guard.loud = False


@pytest.fixture
def client() -> Client:
    """Django's test client; it does not raise, as a server does not."""
    return Client(raise_request_exception=False)


@pytest.fixture
def configure(tmp_path: Path) -> Iterator[Any]:
    """Sets SLOWHOUND for the test: ``configure(SLOW_AFTER=1)``; DIR is the test's own."""
    active: list[override_settings] = []

    def set_up(**values: Any) -> Path:
        directory = tmp_path / "dir"
        override = override_settings(SLOWHOUND={"DIR": str(directory), "STREAM": None, **values})
        override.enable()
        active.append(override)
        return directory

    yield set_up
    while active:
        active.pop().disable()
