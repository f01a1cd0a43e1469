"""slowhound, the flight recorder for Django.

The map; each layer imports only from those above it, and import-linter checks that:

    guard losses fields redaction/ frames folder
    default_folder filelocks osthread unpatched
                                                    know nothing of the rest
    config settings legacy record registry formats blackbox boxmemory boxes notes postmortem graves
    arbiters appendfile stacks tasks executors waiting report reporttext fatal_errors gil/ oom dumps
    sight override
                                                    one request's state, settings, files
    instrument/ watch/ flames/ sinks/ store/        siblings that never import each other
    events neighbours upkeep                        a record's events; the hound's chores
    writer recording recorder                       wires them: begin, finish, emit
    context background lifespan celery conf middleware closing responses on_demand permission
    graphfiles graphresponses asgi apps checks gunicorn/ viewer/
                                                    the application's and the server's side
    compat/ cli/ testing                            drop-in imports, commands, for tests

Nothing here imports Django until it is used: Gunicorn's arbiter imports ``slowhound.gunicorn``.
"""

from __future__ import annotations

from slowhound.background import task
from slowhound.context import Context, on_error
from slowhound.core.record import Record, current
from slowhound.instrument.registry import register_instrumenter

__all__ = [
    "Context",
    "Record",
    "__version__",
    "current",
    "on_error",
    "register_instrumenter",
    "task",
]

__version__ = "0.1.0"
