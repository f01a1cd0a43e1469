"""What a client that asked for a graph gets: headers beside its response, or the drawing."""

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
from slowhound.on_demand.writer import path_of
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import caught, missing

NO_MATCH = caught("django.urls.NoReverseMatch")
CLOSERS = "django.http.response.HttpResponseBase:_resource_closers"
# Names in a graph are escaped; should one slip through, it can do nothing in the site's name.
NOTHING_ELSE = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " sandbox allow-scripts"
)


def add_headers(response: HttpResponseBase, record: Record, name: str, config: Config) -> None:
    """Where the time went, and how the graph of the profile ``name`` is called."""
    _extend(response, "Server-Timing", timings(record, whole=not response.streaming))
    _extend(response, "Link", _link(name, config))
    say(response, name.removesuffix(SUFFIX))


def say(response: HttpResponseBase, word: str) -> None:
    """What became of the wish; a shared cache would say it to everybody, so none may keep it."""
    response.headers["Slowhound-Flames"] = word
    # `private` as well: Django's own cache middleware looks for that.
    response.headers["Cache-Control"] = "private, no-store"


def _link(name: str, config: Config) -> str:
    """Where the graph will be: a page of the viewer, else only the file."""
    try:
        address, kind = f"{reverse('slowhound:flame')}?name={name}", "text/html"
    except NO_MATCH:  # the viewer is not mounted
        address, kind = "file://" + quote(path_of(config, name, ".svg")), "image/svg+xml"
    return f'<{address}>; rel="describedby"; type="{kind}"'


def timings(record: Record, *, whole: bool) -> str:
    """Where the time went, as the header Server-Timing has it: milliseconds.

    Until the body begins, where that is streamed (not ``whole``): the rest is not known yet.
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
        f"{name};dur={seconds * 1000:.3f}" + (f';desc="{said}"' if said else "")
        for name, seconds, said in parts
    )


def _extend(response: HttpResponseBase, name: str, value: str) -> None:
    """Adds to a header that the application may have set itself."""
    before = response.headers.get(name)
    response.headers[name] = f"{before}, {value}" if before else value


def drawing(response: HttpResponseBase, svg: str, name: str) -> HttpResponse:
    """The graph, in the place of ``response``."""
    from slowhound.flames.render.svg import SCRIPT_HASH, STYLE_HASH

    graph = in_place_of(response, svg, status=200)
    graph.headers["Content-Type"] = "image/svg+xml"
    own = f"script-src {SCRIPT_HASH}; style-src {STYLE_HASH}"
    graph.headers["Content-Security-Policy"] = f"{own}; {NOTHING_ELSE}"
    graph.headers["Referrer-Policy"] = "no-referrer"
    say(graph, name.removesuffix(SUFFIX))
    return graph


def in_place_of(response: HttpResponseBase, text: str, status: int = 503) -> HttpResponse:
    """Another response, with which ``response`` is closed."""
    other = HttpResponse(text, content_type="text/plain", status=status)
    other.headers["Content-Length"] = str(len(other.content))
    other.headers["X-Content-Type-Options"] = "nosniff"
    other.headers["Cache-Control"] = "no-store"
    # A session that was begun or ended is, with or without its response.
    other.cookies = response.cookies
    closers = getattr(response, "_resource_closers", None)
    if closers is None:
        missing(CLOSERS, "a request ends with its view, and not with its body")
        response.close()
    else:
        other._resource_closers, response._resource_closers = closers, []  # type: ignore[attr-defined]
    return other


def drain(response: StreamingHttpResponse, record: Record, seconds: float) -> None:
    """Lets a body be made, which nobody will see, for so long at most."""
    until = clock.monotonic() + seconds
    try:
        for _ in response:
            if clock.monotonic() > until:
                break
    except Exception as exc:  # noqa: BLE001  the body's own; the graph shows the way there
        record.exc = {**fields_of(exc), "exc_handled": False}


async def drain_later(response: StreamingHttpResponse, record: Record, seconds: float) -> None:
    """The same in an event loop."""
    if not response.is_async:
        await sync_to_async(drain)(response, record, seconds)
        return
    until = clock.monotonic() + seconds
    try:
        # One that waits for its next part for ever is left as well.
        async with asyncio.timeout(seconds) as limit:
            async for _ in response:
                if clock.monotonic() > until:
                    break
    except Exception as exc:  # noqa: BLE001  as above
        if limit.expired():
            return
        record.exc = {**fields_of(exc), "exc_handled": False}
