"""What the package promises to the outside."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import slowhound
from slowhound.fields import FIELDS

SOURCES = sorted(Path(slowhound.__file__).parent.rglob("*.py"))
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


# What sends a signal, or has one sent or handled, in the words of Python and of the C library; but
# for the SIGKILL that ends a helper process of ours.
SIGNALLING = re.compile(
    r"faulthandler\.(?:register|dump_traceback)|timer_create|timer_settime|setitimer|\balarm\b"
    r"|tgkill|pthread_kill|raise_signal|os\.kill\((?!pid, signal\.SIGKILL\))|sigqueue|SIGRT"
)


def test_no_signal_is_sent_and_no_timer_armed() -> None:
    """A dump by signal that strikes running bytecode crashes CPython 3.11 to 3.13."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text("utf-8").splitlines()
        if SIGNALLING.search(line)
    ]
    assert found == []


def test_no_group_of_a_pattern_is_possessive() -> None:
    """Before Python 3.11.5 such a one takes wrong ways, and a secret would stay."""
    possessive = re.compile(r"\)(?:[*+?]|\{\d*,?\d*\})\+|\(\?>")
    found = [path.name for path in SOURCES if possessive.search(path.read_text("utf-8"))]
    assert found == []


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
