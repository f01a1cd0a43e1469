"""Gunicorn: ``from slowhound.gunicorn import *`` in ``gunicorn.conf.py`` is enough.

    from slowhound.gunicorn import *
    logger_class = Logger
    accesslog = "-"

Hooks that the file itself defines run as well, whatever their names (see ``combine``). Import
slowhound first: a star import replaces names that are defined above it. The arbiter imports this
package, and so nothing in it imports Django but ``worker``, which is imported in the worker.
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
