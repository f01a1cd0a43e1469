"""The viewer's URLs: ``path("slowhound/", include("slowhound.viewer.urls"))``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe

from slowhound.viewer import assets
from slowhound.viewer.answers import Viewer
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

MODULES = (
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
VIEWER = Viewer([module.PAGE for module in MODULES], MENU)


@require_safe
def show(request: HttpRequest, page: str, as_json: bool = False) -> HttpResponse:
    """One page."""
    return VIEWER.show(request, page, as_json)


app_name = "slowhound"
urlpatterns = [
    path("", show, {"page": "overview"}, name="overview"),
    path("static/<path:name>", require_safe(assets.serve), name="static"),
    path("flame.svg", require_safe(flame.drawing), name="flame-svg"),
    path("flame.speedscope.json", require_safe(flame.export), name="flame-export"),
]
for each in VIEWER.pages:
    asked_for = {"page": each, "as_json": True}
    urlpatterns.append(path(f"{each}.json", show, asked_for, name=f"{each}-json"))
    if each != "overview":
        urlpatterns.append(path(f"{each}/", show, {"page": each}, name=each))
