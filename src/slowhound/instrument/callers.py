"""Finds the line of the application that runs a query.

Only frames within the view count, or within the task: middleware is around every query. Where
library code runs the query for the application, this is a line of a template, a serializer's field
or the view itself; where a library's middleware runs it, nothing is named.
"""

from __future__ import annotations

import os
from threading import get_ident
from types import CoroutineType, FrameType, FunctionType
from typing import Any

from slowhound.core.record import Record
from slowhound.frames.frames import Frame
from slowhound.instrument.jinja_lines import template_of, text_attribute
from slowhound.instrument.template_lines import TemplateLines
from slowhound.redaction import masking
from slowhound.runtime.app_files import is_app
from slowhound.runtime.code_objects import file_of, module_of, name_of_code, qualname_of
from slowhound.runtime.library_names import find, has_all
from slowhound.runtime.static_lookup import (
    dict_of,
    function_variables,
    name_of,
    own,
)
from slowhound.stacks import asyncio_tasks

# Modules that call the view, render its response or iterate over the body: their names' beginnings.
_AROUND_VIEWS = ("django.core.handlers.", "slowhound.middleware", "slowhound.lifecycle.streamed")
# Those of them that also call middleware, and the methods of middleware.
_CALL_MIDDLEWARE = (".handlers.base", ".handlers.exception")
_OF_MIDDLEWARE = ("process_view", "process_template_response")
# The functions of Django that call the view.
CALL_VIEW = (
    "django.core.handlers.base.BaseHandler._get_response",
    "django.core.handlers.base.BaseHandler._get_response_async",
)
OR_MIDDLEWARE = "db_n1 is left out where it would be the view"
# Modules that call a task; for management commands and decorated functions, slowhound's own.
_AROUND_TASKS = (
    "slowhound.background",
    "slowhound.lifecycle.task_records",
    "celery.app.trace",
    "django.tasks.base",
)
# The module in which a connection's cursor calls the wrappers of queries.
CURSORS = "django.db.backends.utils"
_SERIALIZERS = "rest_framework.serializers"
_OF_FIELDS = ("to_representation", "to_internal_value")
SYNC_AND_ASYNC = "asgiref.sync"
# Modules between an async caller and the sync function that it calls.
_HOPS = ("asgiref.", "asyncio.", "concurrent.futures.", "threading")
WAITS = "asgiref.sync.AsyncToSync:awaitable"


def install() -> None:
    """Logs which of the names used here asgiref and Django do not have."""
    find(WAITS, "db_n1 may name a line around the view, under ASGI")
    has_all(CALL_VIEW, OR_MIDDLEWARE)


def place(frame: FrameType | None, cursor: object, record: Record) -> str | None:
    """The place nearest to the query that means something to the application's authors.

    Args:
        frame: the innermost one, of a wrapper of queries.
        cursor: Django's, which runs the query; its own methods are no callers.
        record: of the request that runs the query.
    """
    frame, inner = _caller_of_cursor(frame), ""
    around = _AROUND_TASKS if record.kind == "task" else _AROUND_VIEWS
    templates = TemplateLines()
    while frame is not None:
        if _module(frame).startswith(around):
            by_view = _calls_view(_module(frame), name_of_code(frame.f_code), inner)
            return _whole(record) if by_view else None
        waits = _what_waits(frame)
        found, by_view = _in_coroutines(waits, around, inner)
        found = _line(frame, cursor) or templates.of(frame) or _field(frame) or found
        if found is not None:
            return found
        if waits is not None and _is_rest_of_handler(frame):
            return _whole(record) if by_view else None
        if not _module(frame).startswith(_HOPS):
            inner = name_of_code(frame.f_code)
        frame = frame.f_back
    task = record.task() if record.task is not None else None
    found, by_view = _in_coroutines(task, around, inner)
    return found or (_whole(record) if by_view else None)


def _calls_view(module: str, function: str, inner: str) -> bool:
    """False for a frame around views that has called a middleware.

    Args:
        module: the frame's module, or the end of its name.
        function: the frame's function.
        inner: the function that this has called.
    """
    if not module.endswith(_CALL_MIDDLEWARE):
        return True
    calls_view = any(name.endswith(f".{function}") for name in CALL_VIEW)
    return calls_view and inner not in _OF_MIDDLEWARE


def _caller_of_cursor(innermost: FrameType | None) -> FrameType | None:
    frame = innermost
    while frame is not None and _module(frame) != CURSORS:
        frame = frame.f_back
    if frame is None:  # a cursor of another kind
        return innermost
    while frame is not None and _module(frame) == CURSORS:
        frame = frame.f_back
    return frame


def _module(frame: FrameType) -> str:
    return module_of(frame.f_globals)


def _what_waits(frame: FrameType) -> CoroutineType[Any, Any, Any] | None:
    """The coroutine that the frame runs, where it is a call of ``async_to_sync``.

    Meanwhile the thread also runs sync code for that coroutine: both have frames on its stack.
    """
    if name_of_code(frame.f_code) != "__call__" or _module(frame) != SYNC_AND_ASYNC:
        return None
    found = function_variables(frame).get("awaitable")
    return found if type(found) is CoroutineType else None


def _is_rest_of_handler(frame: FrameType) -> bool:
    """True where a sync middleware calls the rest of the handler, under ASGI."""
    called = own(function_variables(frame).get("self")).get("awaitable")
    return type(called) is FunctionType and module_of(called.__globals__).startswith(_AROUND_VIEWS)


def _line(frame: FrameType, cursor: object) -> str | None:
    code = frame.f_code
    file = file_of(code)
    if not is_app(file) or template_of(frame) is not None:
        return None
    if code.co_argcount and function_variables(frame).get(code.co_varnames[0]) is cursor:
        return None  # a method of the application's own cursor class
    # A comprehension is a frame of its own up to Python 3.11; its function is wanted.
    names = [part for part in qualname_of(code).split(".") if not part.startswith("<")]
    function = names[-1] if names else name_of_code(code)
    return str(Frame(file, frame.f_lineno or 0, function))


def _field(frame: FrameType) -> str | None:
    """``module.Class.field`` of the serializer of Django REST framework that runs here."""
    if name_of_code(frame.f_code) not in _OF_FIELDS or _module(frame) != _SERIALIZERS:
        return None
    variables = function_variables(frame)
    field = text_attribute(variables.get("field"), "field_name")
    if field is None:
        return None  # a serializer of several
    kind = type(variables.get("self"))
    module = dict_of(kind).get("__module__")
    return f"{module}.{name_of(kind)}.{field}" if type(module) is str else None


def _in_coroutines(outermost: Any, around: tuple[str, ...], inner: str) -> tuple[str | None, bool]:
    """The innermost line of the application in a task or a coroutine, with all that it awaits.

    The second value is False where there is no such line because a middleware runs there.

    Args:
        outermost: the task or the coroutine.
        around: the modules at which it ends.
        inner: the function that it waits for in another thread.
    """
    if outermost is None:
        return None, True
    stack, _, _ = asyncio_tasks.stack(outermost, get_ident())
    files, hops = _files(around), _files(_HOPS)
    for frame in reversed(stack):
        if any(file in frame.filename for file in files):
            module = frame.filename.removesuffix(".py").replace(os.sep, ".")
            return None, _calls_view(module, frame.function, inner)
        if frame.in_app:
            return str(frame), True
        # A placeholder for frames has no file: "<asgiref>".
        if os.sep in frame.filename and not any(file in frame.filename for file in hops):
            inner = frame.function
    return None, True


def _files(modules: tuple[str, ...]) -> list[str]:
    return [os.sep + module.replace(".", os.sep) for module in modules]


def _whole(record: Record) -> str | None:
    """The view, or the task."""
    if record.kind == "task":
        return record.path
    names = record.names()
    if not names:
        return None
    view, _, _, function = (each and masking.name(each) for each in names)
    return view if function is None or function == view else f"{view} ({function})"
