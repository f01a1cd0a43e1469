"""Replaces ``gunicorn_django_canonical_logs`` (0.0.10): the names that its users import.

    from slowhound.compat.canonical_logs.glogging import Logger
    from slowhound.compat.canonical_logs.gunicorn_hooks import *
    accesslog = "-"
    logger_class = Logger

``docs/from-canonical-logs.md`` lists the differences.
"""

from slowhound.compat.canonical_logs.event_context import Context
from slowhound.compat.canonical_logs.instrumenters.registry import register_instrumenter

__all__ = ["Context", "register_instrumenter"]
