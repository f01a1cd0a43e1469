"""Makes a response of a page: HTML or JSON, its security headers, and errors."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.urls import reverse

from slowhound.config.from_django import get_config
from slowhound.event.formats import json_line
from slowhound.store.answer import StoreError
from slowhound.viewer import access, assets
from slowhound.viewer.query import PERIODS, BadQuery, Query, QueryParameter, read_query
from slowhound.viewer.sources import Sources, sources_of

TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")
# Scripts and styles from the viewer's own files only, and nothing from other origins.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Data = dict[str, Any]


class Page(NamedTuple):
    """One page. ``data`` returns what it shows as plain values, which are also its JSON.

    ``about`` describes it in one sentence; ``menu`` is the page of the menu that it belongs to;
    ``extras`` adds what only the HTML needs.
    """

    name: str
    title: str
    about: str
    data: Callable[[Query, Sources], Data]
    parameters: Mapping[str, QueryParameter] = {}
    menu: str = ""
    extras: Callable[[Query, Data], Data] | None = None


class NotFound(Exception):  # noqa: N818  becomes a response with status 404
    """What the URL names does not exist here; the text says why that may be."""


@functools.cache
def engine() -> Engine:
    """A template engine of our own: a site's may lack loaders, have other tags, or not escape."""
    return Engine(
        dirs=[TEMPLATES],
        builtins=["slowhound.viewer.filters", "slowhound.viewer.tags"],
        loaders=[
            ("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])
        ],
    )


# Exceptions that a page may raise: the status and the heading of the response.
ERRORS: dict[type[Exception], tuple[int, str]] = {
    access.Forbidden: (403, "Access denied"),
    BadQuery: (400, "Invalid request"),
    NotFound: (404, "Not found"),
    StoreError: (503, "The store does not answer"),
}


class Viewer:
    """All pages, and what their responses have in common."""

    def __init__(self, pages: list[Page], menu: list[str]) -> None:
        self.pages = {page.name: page for page in pages}
        self.menu = menu

    def respond(self, request: HttpRequest, name: str, as_json: bool = False) -> HttpResponse:
        """The page of this name, if this request may see it."""
        page = self.pages[name]
        query = Query(_base(request), page.name, {}, {}, None, None, 0.0)
        try:
            access.check(request)
            sources = sources_of(get_config())
            query = read_query(query.base, page.name, page.parameters, request.GET.dict())
            _refuse_foreign_sql(request, query)
            data = page.data(query, sources)
        except tuple(ERRORS) as error:
            status, title = ERRORS[type(error)]
            if as_json:
                return _json({"page": page.name, "problem": str(error)}, status)
            return self._problem(query, title, str(error), status)
        status = 400 if data.get("problem") and page.name == "ask" else 200
        if as_json:
            period = {"since": query.since, "until": query.until, "asked": dict(query.given)}
            return _json({"page": page.name, **period, **data}, status)
        if page.extras is not None:
            data |= page.extras(query, data)
        context = self._context(page, query, sources)
        context |= {"data": data, "json_url": _json_url(query)}
        return _html(f"{page.name}.html", context, status)

    def _problem(self, query: Query, title: str, text: str, status: int) -> HttpResponse:
        """A page with the reason of an error. Without access it has nothing else, and no menu."""
        page = self.pages[query.page]
        context: Data = {"page": page, "query": query}
        if status != 403:
            context = self._context(page, query, sources_of(get_config()))
        return _html("problem.html", context | {"title": title, "problem": text}, status)

    def _context(self, page: Page, query: Query, sources: Sources) -> Data:
        return {
            "page": page,
            "title": page.title,
            "query": query,
            "sources": sources,
            "menu": [self.pages[name] for name in self.menu],
            "current": page.menu or page.name,
            "periods": PERIODS,
        }


def _refuse_foreign_sql(request: HttpRequest, query: Query) -> None:
    """SQL takes seconds: a page of another site must not make its visitor's browser run it."""
    foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    if foreign and query.page == "ask" and query.get("sql"):
        raise BadQuery("SQL from a link on another site is not run; paste it here yourself")


def _base(request: HttpRequest) -> str:
    """The URL that the viewer is mounted at, under any namespace."""
    match = request.resolver_match
    assert match is not None
    return reverse(f"{match.namespace}:overview")


def _json_url(query: Query) -> str:
    path, mark, parameters = query.same().partition("?")
    whole = path.removesuffix("/") + ".json" if query.page != "overview" else f"{path}overview.json"
    return whole + mark + parameters


def _html(name: str, context: Data, status: int) -> HttpResponse:
    context |= {"assets": f"{context['query'].base}static/", "version": assets.version()}
    # A Context escapes every value. Numbers in SVG must not have a site's thousands separators.
    text = engine().get_template(name).render(Context(context, use_l10n=False))
    return secured(HttpResponse(text, status=status), CSP)


def _json(data: Data, status: int) -> HttpResponse:
    response = HttpResponse(json_line(data), status=status, content_type="application/json")
    return secured(response, "default-src 'none'; frame-ancestors 'none'")


def secured(response: HttpResponse, policy: str) -> HttpResponse:
    """The response with the security headers, and this Content-Security-Policy."""
    for name, value in SECURITY_HEADERS.items():
        response[name] = value
    response["Content-Security-Policy"] = policy
    return response
