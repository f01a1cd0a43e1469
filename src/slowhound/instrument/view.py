"""The view, into the black box as soon as the URL is resolved.

The event itself takes it from the request in the end; a worker that is killed has no end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.handlers.base import BaseHandler

from slowhound.guard import guard
from slowhound.record import Record, current_record

_guard = guard("view instrumenter")
_original: Callable[..., Any] | None = None


def install() -> None:
    """Wraps the one place where both of Django's handlers, sync and async, resolve a URL."""
    global _original
    if _original is not None:
        return
    original = _original = BaseHandler.resolve_request

    def resolve_request(self: BaseHandler, request: Any) -> Any:
        found = original(self, request)
        record = current_record.get()
        if record is not None and record.slot is not None:
            try:
                view = request.resolver_match.view_name
                if view:
                    record.slot.view_known(view)
            except Exception as exc:  # noqa: BLE001  inlined guard: this runs in each request
                _guard.failed(exc)
        return found

    BaseHandler.resolve_request = resolve_request  # type: ignore[method-assign]


def uninstall() -> None:
    """Puts Django's own back."""
    global _original
    if _original is not None:
        BaseHandler.resolve_request = _original  # type: ignore[method-assign]
        _original = None


def describe(record: Record, event: dict[str, Any]) -> None:
    """Adds nothing: ``request.describe_response`` has the view."""
