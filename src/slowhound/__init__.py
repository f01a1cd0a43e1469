"""slowhound, the flight recorder for Django.

The map of the package. Each folder imports only from the ones below it, which ``make check``
enforces. Users import the files beside the folders.

    cli/         the commands
    compat/      drop-in imports for dogslow and gunicorn-django-canonical-logs; former paths
    viewer/      pages over the store
    gunicorn/    Gunicorn's hooks, logger, arbiter and workers

    middleware asgi apps celery background context testing

    on_demand/   ?flames: who may request a flame graph, its response, its files
    lifecycle/   how requests end (closed, broken off, cancelled); how tasks begin and end
    recorder/    begins and finishes records, and emits their events; the worker's housekeeping
    watch/       slow requests: samples, verdicts, reports, held GIL, blocked loops, deadlocks
    flames/      profiles: sampled, attributed to requests, drawn, exported, merged
    peers/       other processes of this host: their requests, dumps, and events after their death
    sinks/       one file per destination
    instrument/  what a request does, one instrumenter per source; the events made of it
    delivery/    how reports reach the sinks: queue, limits, spool, retries
    stacks/      the stack of a request: of its thread, its greenlet or its task
    gil/         what can be known of a worker while its GIL is held
    store/       events kept and queried: segments, Parquet, DuckDB, ClickHouse, the questions
    config/      settings: their table, their rules, where they are read from, what is checked
    core/        one request: its record, what was observed of it, the report of a slow one
    blackbox/    the file that outlives a worker
    system/      the guard; files, locks, threads and /proc, used safely
    event/       the table of event fields, and how an event becomes a line
    frames/      frames of a stack as plain data, and the lines of their source
    redaction/   masks secrets in names, texts, URLs, SQL, source and structures
    runtime/     facts about the Python process: its files, clocks, exceptions, libraries

Nothing here imports Django until it is used: Gunicorn's arbiter imports ``slowhound.gunicorn``.
"""

from __future__ import annotations

import os

from slowhound.background import task
from slowhound.context import Context, on_error
from slowhound.core.in_flight import current
from slowhound.core.record import Record
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

# Modules that have moved are found by their former names, with a DeprecationWarning.
__path__.append(os.path.join(__path__[0], "compat", "former_paths"))
