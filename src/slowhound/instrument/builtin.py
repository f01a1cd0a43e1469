"""Installs slowhound's own instrumenters, which add what they see to the current record.

There is one file per source, each with the same three functions:

* ``install()`` is called once per worker process, after the fork;
* ``uninstall()`` undoes that, so that a test leaves nothing behind;
* ``describe(record, event)`` writes the record's share into the event when the request ends.

CONTRIBUTING.md says how to add one.
"""

from __future__ import annotations

from types import ModuleType

from slowhound.instrument import cache, db, exception, gc, http, template, trace, view
from slowhound.system.guard import guard

INSTRUMENTERS: tuple[ModuleType, ...] = (exception, db, cache, template, http, gc, view, trace)


def install() -> None:
    """Installs all; one that fails is left out, logged and counted."""
    for module in INSTRUMENTERS:
        with guard(module.__name__):
            module.install()


def uninstall() -> None:
    """Undoes ``install``."""
    for module in INSTRUMENTERS:
        with guard(module.__name__):
            module.uninstall()
