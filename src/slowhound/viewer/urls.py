"""The viewer's URLs: ``path("slowhound/", include("slowhound.viewer.urls"))``.

While the viewer is off they do not resolve, as if the line above were missing. A view that answers
404 would be visible: CSRF protection refuses a POST to a view with 403, ``APPEND_SLASH`` redirects
to it, and ``LoginRequiredMiddleware`` to the login; the site's 404 page may print what the view
raised; and a catch-all pattern of the site would not be tried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, URLPattern, path
from django.views.decorators.http import require_safe

from slowhound.viewer import access, assets
from slowhound.viewer.pages import (
    ask,
    deaths,
    flame,
    live,
    overview,
    report,
    reports,
    request,
    requests,
    sql,
    views,
)
from slowhound.viewer.responses import Viewer

PAGE_MODULES = (
    overview,
    views,
    requests,
    request,
    reports,
    report,
    deaths,
    live,
    sql,
    ask,
    flame,
)
MENU = ["overview", "views", "requests", "reports", "deaths", "live", "sql", "ask"]
VIEWER = Viewer([module.PAGE for module in PAGE_MODULES], MENU)


class WhileOn(URLPattern):
    """A pattern that matches nothing while the viewer is off; its URL can always be reversed."""

    def resolve(self, path: str) -> ResolverMatch | None:
        """The match, as of any pattern."""
        match = super().resolve(path)
        return match if match is not None and access.is_on() else None


def _url(route: str, view: Callable[..., HttpResponse], name: str, **arguments: Any) -> URLPattern:
    made = path(route, view, arguments, name=name)
    return WhileOn(made.pattern, made.callback, made.default_args, made.name)


@require_safe
def respond(request: HttpRequest, page: str, as_json: bool = False) -> HttpResponse:
    """One page."""
    return VIEWER.respond(request, page, as_json)


app_name = "slowhound"
urlpatterns = [
    _url("", respond, "overview", page="overview"),
    _url("static/<path:name>", require_safe(assets.serve), "static"),
    _url("flame.svg", require_safe(flame.drawing), "flame-svg"),
    _url("flame.speedscope.json", require_safe(flame.export), "flame-export"),
]
for each in VIEWER.pages:
    urlpatterns.append(_url(f"{each}.json", respond, f"{each}-json", page=each, as_json=True))
    if each != "overview":
        urlpatterns.append(_url(f"{each}/", respond, each, page=each))
