"""The view, into the black box as soon as the URL is resolved; the trace, from there as well.

The event itself takes it from the request in the end; a worker that is killed has no end.
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
UNKNOWN = "the black box knows no view, secrets in paths are not hidden by their names in the route"
_original: Callable[..., Any] | None = None
# Says whether a request to this path, whose view has these names, is not to be reported; None: all
# are. Set by the recorder.
ignored: Callable[[str, Iterable[str | None]], bool] | None = None


def install() -> None:
    """Wraps the one place where both of Django's handlers, sync and async, resolve a URL."""
    global _original
    if _original is None:
        _original = find(RESOLVE, UNKNOWN)
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
                    # A middleware may hand a copy of the request on, and only that is resolved.
                    record.match = request.resolver_match
                _note(record, request.resolver_match)
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

    A view may ask another handler, which has no middleware of slowhound's, for another page.
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
    """True for what a middleware has handed on with another method, or without a prefix."""
    if record.request is None or record.resolved is not None:
        return False
    path, another = as_text(record.request.path), as_text(request.path)
    return path.endswith(another) and is_same(record.request, request)


def _note(record: Record, match: Any) -> None:
    if match.captured_kwargs is not None:
        _hide(record, match)
    if record.slot is not None:
        view = record.view
        if view:
            record.slot.view_known(view)
        if ignored is not None and ignored(record.path, record.names()):
            # A neighbour knows only one of the names; it leaves alone what is reported.
            record.slot.report(record.number)


def _hide(record: Record, match: Any) -> None:
    """Masks what the URL holds under a secret name: ``reset/<uidb64>/<token>/``.

    What a converter has made of it is not asked what it is; the route is no client's.
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
            for _ in range(2):  # into both halves: the last note would stay in the other one
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
