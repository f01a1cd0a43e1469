"""The responses to clients that asked for a flame graph: their headers, or the graph itself."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from slowhound.config.config import Config
from slowhound.core.record import Record
from slowhound.flames.profile import SUFFIX
from slowhound.instrument.exception import fields_of
from slowhound.lifecycle.on_response import CLOSERS
from slowhound.on_demand.writer import path_of
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import caught, missing

NO_MATCH = caught("django.urls.NoReverseMatch")
# Names in a graph are escaped. If one should not be, the policy leaves it nothing to do on the
# site.
NOTHING_ELSE = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " sandbox allow-scripts"
)


def add_headers(response: HttpResponseBase, record: Record, name: str, config: Config) -> None:
    """Headers for where the time went, and for the graph of the profile ``name``."""
    _extend(response, "Server-Timing", timings(record, whole=not response.streaming))
    _extend(response, "Link", _link(name, config))
    add_status(response, name.removesuffix(SUFFIX))


def add_status(response: HttpResponseBase, status: str) -> None:
    """The name of the graph or ``busy``; no shared cache may keep it, it is for one client."""
    response.headers["Slowhound-Flames"] = status
    # `private` as well: Django's own cache middleware checks for that.
    response.headers["Cache-Control"] = "private, no-store"


def _link(name: str, config: Config) -> str:
    """The link to the graph: a page of the viewer where that is mounted, else the file."""
    try:
        address, kind = f"{reverse('slowhound:flame')}?name={name}", "text/html"
    except NO_MATCH:  # the viewer is not mounted
        address, kind = "file://" + quote(path_of(config, name, ".svg")), "image/svg+xml"
    return f'<{address}>; rel="describedby"; type="{kind}"'


def timings(record: Record, *, whole: bool) -> str:
    """The value of the header Server-Timing: where the time went, in milliseconds.

    For a streamed body (not ``whole``) the time until the body begins: the rest is not known yet.
    """
    age = record.age()
    parts = [("total", age, "")] if whole else [("view", age, "until the body begins")]
    if record.db_count:
        parts.append(("db", record.db_time, f"queries: {record.db_count}"))
    if record.cache is not None:
        parts.append(("cache", record.cache_time, ""))
    if record.tmpl_count:
        parts.append(("template", record.tmpl_time, ""))
    if record.out_count:
        parts.append(("outbound", record.out_time, f"requests: {record.out_count}"))
    parts.append(("rest", max(age - record.accounted, 0.0), ""))
    return ", ".join(
        f"{name};dur={seconds * 1000:.3f}" + (f';desc="{description}"' if description else "")
        for name, seconds, description in parts
    )


def _extend(response: HttpResponseBase, name: str, value: str) -> None:
    """Adds a value to a header that the application may have set already."""
    before = response.headers.get(name)
    response.headers[name] = f"{before}, {value}" if before else value


def graph_response(response: HttpResponseBase, svg: str, name: str) -> HttpResponse:
    """A response with the graph, in the place of ``response``."""
    from slowhound.flames.render.svg import SCRIPT_HASH, STYLE_HASH

    graph = in_place_of(response, svg, status=200)
    graph.headers["Content-Type"] = "image/svg+xml"
    own = f"script-src {SCRIPT_HASH}; style-src {STYLE_HASH}"
    graph.headers["Content-Security-Policy"] = f"{own}; {NOTHING_ELSE}"
    graph.headers["Referrer-Policy"] = "no-referrer"
    add_status(graph, name.removesuffix(SUFFIX))
    return graph


def in_place_of(response: HttpResponseBase, text: str, status: int = 503) -> HttpResponse:
    """Another response, whose end closes ``response`` as well."""
    other = HttpResponse(text, content_type="text/plain", status=status)
    other.headers["Content-Length"] = str(len(other.content))
    other.headers["X-Content-Type-Options"] = "nosniff"
    other.headers["Cache-Control"] = "no-store"
    # A login or logout has happened, whether its response is sent or not.
    other.cookies = response.cookies
    closers = getattr(response, "_resource_closers", None)
    if closers is None:
        missing(CLOSERS, "a request ends with its view, and not with its body")
        response.close()
    else:
        other._resource_closers, response._resource_closers = closers, []  # type: ignore[attr-defined]
    return other


def drain(response: StreamingHttpResponse, record: Record, seconds: float) -> None:
    """Reads a body that is not sent to its end, for ``seconds`` at most."""
    until = clock.monotonic() + seconds
    try:
        for _ in response:
            if clock.monotonic() > until:
                break
    except Exception as exc:  # noqa: BLE001  the body's own; the graph leads up to it
        record.exc = {**fields_of(exc), "exc_handled": False}


async def drain_async(response: StreamingHttpResponse, record: Record, seconds: float) -> None:
    """The same in an event loop."""
    if not response.is_async:
        await sync_to_async(drain)(response, record, seconds)
        return
    until = clock.monotonic() + seconds
    try:
        # Also ends a body that waits forever for its next part.
        async with asyncio.timeout(seconds) as limit:
            async for _ in response:
                if clock.monotonic() > until:
                    break
    except Exception as exc:  # noqa: BLE001  as above
        if limit.expired():
            return
        record.exc = {**fields_of(exc), "exc_handled": False}
