"""What the package promises to the outside."""

from __future__ import annotations

import subprocess
import sys

import slowhound
from slowhound.fields import FIELDS

PUBLIC = {"Context", "Record", "current", "on_error", "register_instrumenter", "task"}


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout


def test_public_names_are_these() -> None:
    """A name more is a promise more."""
    assert set(slowhound.__all__) - {"__version__"} == PUBLIC


def test_arbiter_never_loads_django() -> None:
    """Gunicorn's arbiter imports slowhound.gunicorn and stays without Django."""
    code = (
        "import sys, slowhound.gunicorn; print(sorted(m for m in sys.modules if m[:6] == 'django'))"
    )
    assert run(code).strip() == "[]"


def test_importing_starts_nothing() -> None:
    """A management command or a Celery worker that imports the settings gets no thread."""
    code = (
        "import threading, slowhound, slowhound.gunicorn\n"
        "from django.conf import settings; settings.configure(INSTALLED_APPS=['slowhound'])\n"
        "import django; django.setup()\n"
        "import slowhound.middleware\n"
        "print([thread.name for thread in threading.enumerate()])"
    )
    assert run(code).strip() == "['MainThread']"


def test_field_names_are_unique_and_typed() -> None:
    """The table is what docs and stores are generated from."""
    names = [field.name for field in FIELDS]
    assert len(names) == len(set(names))
    assert names[0] == "event_type"
    assert {field.type for field in FIELDS} <= {"str", "int", "float", "bool", "list", "dict"}
    assert all(field.meaning for field in FIELDS)
