"""Sees outbound HTTP through urllib3 (and so requests, boto3, ...) and httpx.

slowhound imports neither: each is wrapped when the application has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from slowhound.core.in_flight import current_record, unfinished
from slowhound.core.record import Record
from slowhound.instrument.clock import own_time
from slowhound.instrument.imports import forget, when_imported
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import missing
from slowhound.system.guard import guard

# The lowest call that sends one request and returns its headers.
TARGETS = (
    "urllib3.connectionpool.HTTPConnectionPool._make_request",
    "httpx.HTTPTransport.handle_request",
    "httpx.AsyncHTTPTransport.handle_async_request",
)
_guard = guard("http instrumenter")
_originals: dict[str, Callable[..., Any]] = {}


def install() -> None:
    """Wraps the libraries that are imported, and the others as soon as they are."""
    for name in dict.fromkeys(target.rsplit(".", 2)[0] for target in TARGETS):
        when_imported(name, partial(_wrap, name))


def _wrap(name: str, module: ModuleType) -> None:
    for target in TARGETS:
        module_name, class_name, method = target.rsplit(".", 2)
        if module_name == name and target not in _originals:
            owner = getattr(module, class_name, None)
            original = getattr(owner, method, None)
            if original is None:
                missing(target, "requests that are sent by it are not seen")
                continue
            _originals[target] = original
            setattr(owner, method, (_observed_async if "async" in method else _observed)(original))


def uninstall() -> None:
    """Puts the libraries' own methods back."""
    forget()
    while _originals:
        target, original = _originals.popitem()
        module_name, class_name, method = target.rsplit(".", 2)
        setattr(getattr(sys.modules[module_name], class_name), method, original)


def _observed(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        record = unfinished(current_record.get())
        if record is None:
            return original(self, *args, **kwargs)
        before = record.accounted
        start = clock.monotonic()
        try:
            return original(self, *args, **kwargs)
        finally:
            _count(record, start, before, self, args)

    return call


def _observed_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        record = unfinished(current_record.get())
        if record is None:
            return await original(self, *args, **kwargs)
        before = record.accounted
        start = clock.monotonic()
        try:
            return await original(self, *args, **kwargs)
        finally:
            _count(record, start, before, self, args)

    return call


def _count(record: Record, start: float, before: float, sender: Any, args: tuple[Any, ...]) -> None:
    with _guard:
        took = clock.monotonic() - start
        record.out_count += 1
        record.out_time += own_time(record, took, before)
        record.note(start, took, "http", _host(sender, args) or "-")


def _host(sender: Any, args: tuple[Any, ...]) -> str:
    host = attribute_or(sender, "host")  # urllib3's pool
    if host is None and args:
        url = attribute_or(args[0], "url")  # httpx's request
        if type(url) is getattr(sys.modules.get("httpx"), "URL", None):
            host = url.host
    return "" if host is None else as_text(host)


def describe(record: Record, event: dict[str, Any]) -> None:
    """Count and time, when there were any."""
    if record.out_count:
        event["out_count"] = record.out_count
        event["out_time"] = record.out_time
