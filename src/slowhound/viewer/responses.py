"""From a page to a response: HTML or JSON, the same headers on each, and honest failures."""

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
from slowhound.viewer.query import PERIODS, Asked, Parameter, Wrong, read
from slowhound.viewer.sources import Where, of

TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")
# No script and no style but the viewer's own files, and nothing from elsewhere.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Data = dict[str, Any]


class Page(NamedTuple):
    """One page. ``data`` gives all that it shows, as plain values: they are also its JSON.

    ``menu`` is the page of the menu that it belongs to; ``about`` says in one sentence what it is;
    ``extras`` adds what only the HTML needs.
    """

    name: str
    title: str
    about: str
    data: Callable[[Asked, Where], Data]
    parameters: Mapping[str, Parameter] = {}
    menu: str = ""
    extras: Callable[[Asked, Data], Data] | None = None


class Missing(Exception):  # noqa: N818  it is an answer
    """What the URL names is not there; the text says why it may not be."""


@functools.cache
def engine() -> Engine:
    """Our own: a site's may have no loader for us, other tags, or escape nothing."""
    return Engine(
        dirs=[TEMPLATES],
        builtins=["slowhound.viewer.filters"],
        loaders=[
            ("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])
        ],
    )


# What a page may raise in the place of data: the status, and the heading.
FAILURES: dict[type[Exception], tuple[int, str]] = {
    access.Denied: (403, "Not for you"),
    Wrong: (400, "That cannot be asked"),
    Missing: (404, "Not here"),
    StoreError: (503, "The store does not answer"),
}


class Viewer:
    """The pages, and what each of them has in common."""

    def __init__(self, pages: list[Page], menu: list[str]) -> None:
        self.pages = {page.name: page for page in pages}
        self.menu = menu

    def show(self, request: HttpRequest, name: str, as_json: bool = False) -> HttpResponse:
        """The page of this name, for who may see it."""
        page = self.pages[name]
        asked = Asked(_base(request), page.name, {}, {}, None, None, 0.0)
        try:
            access.check(request)
            where = of(get_config())
            asked = read(asked.base, page.name, page.parameters, request.GET.dict())
            _refuse_foreign_sql(request, asked)
            data = page.data(asked, where)
        except tuple(FAILURES) as failure:
            status, title = FAILURES[type(failure)]
            if as_json:
                return _json({"page": page.name, "problem": str(failure)}, status)
            return self._problem(asked, title, str(failure), status)
        status = 400 if data.get("problem") and page.name == "ask" else 200
        if as_json:
            period = {"since": asked.since, "until": asked.until, "asked": dict(asked.given)}
            return _json({"page": page.name, **period, **data}, status)
        if page.extras is not None:
            data |= page.extras(asked, data)
        context = self._context(page, asked, where) | {"data": data, "json_url": _json_url(asked)}
        return _html(f"{page.name}.html", context, status)

    def _problem(self, asked: Asked, title: str, text: str, status: int) -> HttpResponse:
        """A page that says why there is none; to a stranger it says no more than that."""
        page = self.pages[asked.page]
        context: Data = {"page": page, "asked": asked}
        if status != 403:
            context = self._context(page, asked, of(get_config()))
        return _html("problem.html", context | {"title": title, "problem": text}, status)

    def _context(self, page: Page, asked: Asked, where: Where) -> Data:
        return {
            "page": page,
            "title": page.title,
            "asked": asked,
            "where": where,
            "menu": [self.pages[name] for name in self.menu],
            "here": page.menu or page.name,
            "periods": PERIODS,
        }


def _refuse_foreign_sql(request: HttpRequest, asked: Asked) -> None:
    """SQL takes seconds: a page elsewhere shall not make its visitor's browser run it here."""
    foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    if foreign and asked.page == "ask" and asked.get("sql"):
        raise Wrong("SQL that another site links to is not run; paste it here yourself")


def _base(request: HttpRequest) -> str:
    """The URL that the viewer is mounted at, whatever namespace the site has given it."""
    match = request.resolver_match
    assert match is not None
    return reverse(f"{match.namespace}:overview")


def _json_url(asked: Asked) -> str:
    path, mark, query = asked.same().partition("?")
    whole = path.removesuffix("/") + ".json" if asked.page != "overview" else f"{path}overview.json"
    return whole + mark + query


def _html(name: str, context: Data, status: int) -> HttpResponse:
    context |= {"assets": f"{context['asked'].base}static/", "version": assets.version()}
    # A Context escapes every value. A site's thousands separators have no place in a drawing.
    text = engine().get_template(name).render(Context(context, use_l10n=False))
    return guarded(HttpResponse(text, status=status), CSP)


def _json(data: Data, status: int) -> HttpResponse:
    response = HttpResponse(json_line(data), status=status, content_type="application/json")
    return guarded(response, "default-src 'none'; frame-ancestors 'none'")


def guarded(response: HttpResponse, policy: str) -> HttpResponse:
    """The response with the headers that each of ours has."""
    for name, value in HEADERS.items():
        response[name] = value
    response["Content-Security-Policy"] = policy
    return response
