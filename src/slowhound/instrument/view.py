"""Writes the view into the black box as soon as the URL is resolved, and reads the trace then.

The event gets the view from the request at its end, which a killed worker does not reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from slowhound.core.box_payloads import who_payload
from slowhound.core.exchanges import is_same
from slowhound.core.in_flight import current_record
from slowhound.core.ownership import of_request
from slowhound.core.record import Record
from slowhound.instrument import trace
from slowhound.redaction import masking
from slowhound.redaction.mask import MASK
from slowhound.redaction.plain_data import as_text
from slowhound.redaction.structures import hides
from slowhound.runtime.library_names import find, patch
from slowhound.system.guard import guard

_guard = guard("view instrumenter")
RESOLVE = "django.core.handlers.base.BaseHandler.resolve_request"
NO_VIEW = "the black box knows no view, secrets in paths are not hidden by their names in the route"
_original: Callable[..., Any] | None = None
# True for a request to this path, whose view has these names, that must not be reported; None: all
# are reported. Set by the recorder.
ignored: Callable[[str, Iterable[str | None]], bool] | None = None


def install() -> None:
    """Wraps the one function in which both of Django's handlers, sync and async, resolve a URL."""
    global _original
    if _original is None:
        _original = find(RESOLVE, NO_VIEW)
        if _original is not None:
            patch(RESOLVE, _seen(_original))


def _seen(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_request(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        record = _record_of(request)
        if record is not None and trace.readers:  # inside all middleware, their spans have begun
            with _guard:
                trace.see(record)
        found = original(self, request, *args, **kwargs)
        if record is not None:
            try:
                if request is not record.request and record.resolved is None:
                    # A middleware may pass on a copy of the request, and only that is resolved.
                    record.match = request.resolver_match
                _write_view(record, request.resolver_match)
            except Exception as exc:
                if _guard.failed(exc):
                    raise
            else:
                if _guard.streak:
                    _guard.streak = 0
        return found

    return resolve_request


def _record_of(request: Any) -> Record | None:
    """The current record, if this is its request.

    A view may request another page from a handler without slowhound's middleware.
    """
    record = current_record.get()
    if record is None or request is record.request:
        return record
    try:
        return record if _is_copied(record, request) or of_request(request) is record else None
    except Exception as exc:
        if _guard.failed(exc):
            raise
        return None


def _is_copied(record: Record, request: Any) -> bool:
    """True for what a middleware has passed on with another method, or without a prefix."""
    if record.request is None or record.resolved is not None:
        return False
    path, another = as_text(record.request.path), as_text(request.path)
    return path.endswith(another) and is_same(record.request, request)


def _write_view(record: Record, match: Any) -> None:
    if match.captured_kwargs is not None:
        _hide(record, match)
    if record.slot is not None:
        view = record.view
        if view:
            record.slot.view_known(view)
        if ignored is not None and ignored(record.path, record.names()):
            # A peer has only one of the names; it does not report what is marked as reported.
            record.slot.report(record.number)


def _hide(record: Record, match: Any) -> None:
    """Masks what the URL has under a secret name: ``reset/<uidb64>/<token>/``.

    The value that a converter has made of it is not used; the route does not come from a client.
    """
    path, captured = record.path, match.captured_kwargs
    if not issubclass(type(captured), dict):
        path = _of_route(match)
        captured = {}
    for name, value in dict.items(captured):
        if not hides(as_text(name), value):
            continue
        kind = type(value)
        shown = as_text(value) if issubclass(kind, (str, int)) or kind is UUID else None
        if shown is None or shown not in path:
            path = _of_route(match)
        elif shown:
            path = path.replace(shown, MASK)
    if path != record.path:
        record.path = path
        if record.slot is not None:
            for _ in range(2):  # into both halves: the former payload would stay in the other
                record.slot.who.write(who_payload(record), record.number)


def _of_route(match: Any) -> str:
    return f"/{masking.name(as_text(match.route))}"


def uninstall() -> None:
    """Puts Django's own back."""
    global _original
    if _original is not None:
        patch(RESOLVE, _original)
        _original = None


def describe(record: Record, event: dict[str, Any]) -> None:
    """Adds nothing: ``request.describe_response`` has the view."""
