"""Sees exceptions that leave a view or a middleware, whether they become a response or not.

No code that a successful request runs is patched. The template of an error is read from the
traceback: the frame of Django's ``Node.render_annotated`` has the node, a frame of Jinja2's code
its template.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception
from django.http import Http404
from django.urls import Resolver404

from slowhound.core.exchanges import is_same, requests_alike
from slowhound.core.in_flight import current
from slowhound.core.record import Record
from slowhound.frames.frames import from_traceback, locate
from slowhound.instrument import jinja_lines
from slowhound.instrument.template_lines import node_of
from slowhound.instrument.view import RESOLVE
from slowhound.redaction import masking
from slowhound.redaction.plain_data import as_text, exception_text
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.code_objects import module_of, name_of_code
from slowhound.runtime.library_names import Errors, caught, find, find_imported, has_all, patch
from slowhound.runtime.static_lookup import cause_of, name_of, traceback_of
from slowhound.system.guard import guard

MESSAGE_LIMIT = 1000
# Exceptions of a group that are counted.
LEAVES_LIMIT = 10_000
# Causes may form a circle.
CAUSES_LIMIT = 10
TEXT_OF_UNPRINTABLE = "<exception text not available>"

_guard = guard("exception instrumenter")
HANDLED = "django.core.handlers.base.BaseHandler.process_exception_by_middleware"
MADE = "django.core.handlers.exception.response_for_exception"
UNREADABLE = caught("django.http.multipartparser.MultiPartParserError")
# Exceptions for which Django has a response that is no error of the server's.
HANDLED_BY_DJANGO: Errors = (
    *(Http404, PermissionDenied, BadRequest, SuspiciousOperation),
    *UNREADABLE,
)
OF_TEMPLATES = (
    "django.template.base.Node.render_annotated",
    "django.template.base.Node:origin",
    "django.template.base.Node:token",
    "django.template.base.Token:lineno",
)
# What was there before ours, which others may have patched; None: ours is not there.
_process_exception: Callable[..., Any] | None = None
_response_for_exception: Callable[..., Any] | None = None
# A class of the application's may have an attribute of this name.
_members_of: Callable[[Any], tuple[BaseException, ...]] = vars(BaseExceptionGroup)[
    "exceptions"
].__get__


def install() -> None:
    """Listens to Django's signal for unhandled exceptions, and sees those that are handled."""
    global _process_exception, _response_for_exception
    got_request_exception.connect(_on_unhandled, dispatch_uid="slowhound")
    has_all(OF_TEMPLATES, "there is no exc_template")
    so = "exceptions that a middleware handles are in no event"
    _process_exception = _put(HANDLED, _see_first, _process_exception, so)
    so = "exceptions of middleware that Django handles are in no event"
    _response_for_exception = _put(MADE, _see_made, _response_for_exception, so)


def _put(name: str, ours: Callable[..., Any], before: Any, so: str) -> Any:
    """Puts ours there; returns what was there, also if ours was there already."""
    found = find(name, so)
    if found is None or found is ours:
        return before
    patch(name, ours)
    return found


def uninstall() -> None:
    """Stops listening."""
    got_request_exception.disconnect(dispatch_uid="slowhound")
    for name, ours, before in (
        (HANDLED, _see_first, _process_exception),
        (MADE, _see_made, _response_for_exception),
    ):
        if find_imported(name) is ours and before is not None:
            patch(name, before)


def _see_first(self: Any, *args: Any, **kwargs: Any) -> Any:
    with _guard:
        exception, request = args
        record = current()
        if record is not None and _is_of(record, request):
            record.exc = {**fields_of(exception), "exc_handled": True}
    return _process_exception and _process_exception(self, *args, **kwargs)


def _see_made(request: Any, *args: Any, **kwargs: Any) -> Any:
    """Sees what Django makes a response of, also from middleware; the signal has the others."""
    with _guard:
        record = current()
        if record is not None and _is_of(record, request) and _is_handled(args[0]):
            record.exc = {**fields_of(args[0]), "exc_handled": True}
    return _response_for_exception and _response_for_exception(request, *args, **kwargs)


def _is_of(record: Record, request: Any) -> bool:
    """False for a page that a view requests in process and that has no record of its own."""
    known = record.request
    if known is None or request is None or known is request:
        return True
    return is_same(known, request) and requests_alike(known, request)


def _is_handled(exc: Any) -> bool:
    """False for a URL that matches nothing, which no code of the application has raised."""
    kind = type(exc)
    return issubclass(kind, HANDLED_BY_DJANGO) and not (
        issubclass(kind, Resolver404) and _is_from_resolver(traceback_of(exc))
    )


def _is_from_resolver(traceback: TracebackType | None) -> bool:
    home = RESOLVE.partition(".BaseHandler")[0]
    while traceback is not None:
        frame = traceback.tb_frame
        if module_of(frame.f_globals) == home and name_of_code(frame.f_code) == "resolve_request":
            return True
        traceback = traceback.tb_next
    return False


def _on_unhandled(sender: Any = None, request: Any = None, **_: object) -> None:
    import sys

    with _guard:
        record = current()
        exception = sys.exc_info()[1]
        if record is None or exception is None or not _is_of(record, request):
            return
        if issubclass(type(exception), Exception):
            record.exc = {**fields_of(exception), "exc_handled": False}


def fields_of(exception: BaseException) -> dict[str, Any]:
    """The ``exc_*`` fields of one exception; for a group those of its first one, and its size."""
    leaf, size = leaf_of(exception)
    # One that was put into a group without being raised has no place of its own.
    placed = exception if traceback_of(leaf) is None else leaf
    loc, cause = locate(from_traceback(traceback_of(placed)))
    fields: dict[str, Any] = {
        "exc_type": masking.name(name_of(type(leaf))),
        "exc_msg": message(leaf),
        "exc_loc": loc,
        "exc_cause_loc": cause,
    }
    template = _template_of(leaf) or _template_of(exception)
    if template is not None:
        fields["exc_template"] = template
    if size is not None:
        fields["exc_group_size"] = size
    return fields


def leaf_of(exception: BaseException) -> tuple[BaseException, int | None]:
    """The first exception in a group and in the groups within it, and how many there are.

    An exception that cancelled a task is not what went wrong, if there is another one. For what is
    no group: itself, and None.
    """
    if not _is_group(exception):
        return exception, None
    first: BaseException | None = None
    found = exception
    size, waiting = 0, [exception]
    for _ in range(2 * LEAVES_LIMIT):
        if not waiting or size >= LEAVES_LIMIT:
            break
        each = waiting.pop()
        if _is_group(each):
            waiting.extend(reversed(_members_of(each)))
            continue
        size += 1
        if size == 1:
            found = each
        if first is None and issubclass(type(each), Exception):
            first = each
    return found if first is None else first, size


def _is_group(exception: BaseException) -> bool:
    return issubclass(type(exception), BaseExceptionGroup)


def message(exception: BaseException) -> str:
    """The exception's text without secrets, cut; not a text that the application's code makes."""
    shown = exception_text(exception)
    return TEXT_OF_UNPRINTABLE if shown is None else masking.message(shown)[:MESSAGE_LIMIT]


def _template_of(exception: BaseException) -> str | None:
    """The innermost template of the exception and of its causes.

    Django raises some exceptions again, ``from`` the one that came from the template.
    """
    found, cause = innermost_template(traceback_of(exception)), cause_of(exception)
    for _ in range(CAUSES_LIMIT):
        if cause is None:
            break
        found = innermost_template(traceback_of(cause)) or found
        cause = cause_of(cause)
    return found


def innermost_template(traceback: TracebackType | None) -> str | None:
    """``name:line`` of the innermost template node in the traceback; None outside templates."""
    found = None
    while traceback is not None:
        node = node_of(traceback.tb_frame)
        if node is not None:
            name = attribute_or(attribute_or(node, "origin"), "template_name")
            line = attribute_or(attribute_or(node, "token"), "lineno")
            if name is not None or line is not None:
                found = f"{masking.short_text(as_text(name))}:{as_text(line)}"
        else:
            found = jinja_lines.failed(traceback) or found
        traceback = traceback.tb_next
    return found


def describe(record: Record, event: dict[str, Any]) -> None:
    """The exception, when there was one."""
    if record.exc is not None:
        event.update(record.exc)
