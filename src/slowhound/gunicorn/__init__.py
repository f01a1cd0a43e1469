"""Gunicorn: ``from slowhound.gunicorn import *`` in ``gunicorn.conf.py`` is enough.

    from slowhound.gunicorn import *
    logger_class = Logger
    accesslog = "-"

Hooks that the file defines itself run as well, whatever their names, see ``combine``. Import
slowhound first: a star import replaces names that stand above it. This package is imported by the
arbiter and so never imports Django; ``worker`` does, in the worker.
"""

from slowhound.gunicorn.combine import combine_always
from slowhound.gunicorn.hooks import (
    child_exit,
    on_exit,
    post_request,
    post_worker_init,
    pre_fork,
    pre_request,
    worker_exit,
)
from slowhound.gunicorn.logger import Logger

combine_always()

__all__ = [
    "Logger",
    "child_exit",
    "on_exit",
    "post_request",
    "post_worker_init",
    "pre_fork",
    "pre_request",
    "worker_exit",
]
