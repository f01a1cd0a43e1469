"""A flame graph on a page of its own; its drawing, and its profile for speedscope."""

from __future__ import annotations

import os
from itertools import islice
from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponse

from slowhound.config.from_django import get_config
from slowhound.flames.files import FOLDER, OURS, FlameFiles
from slowhound.flames.merge import merge
from slowhound.flames.profile import Profile
from slowhound.flames.render import speedscope, svg
from slowhound.flames.render.summary import title
from slowhound.flames.search import ProfileFilter, find
from slowhound.viewer import access
from slowhound.viewer.pages.shared import command
from slowhound.viewer.query import Asked, Parameter, Wrong, text
from slowhound.viewer.responses import Data, Missing, Page, guarded
from slowhound.viewer.sources import Where

# A group's graph is made of its newest profiles; more of them say the same.
MOST = 50


def data(asked: Asked, where: Where) -> Data:
    """What is drawn, and where the drawing is."""
    words = [asked.get("name")] if asked.get("name") else ["--fingerprint", asked.get("group")]
    names = _names(asked.get("name"), asked.get("group"))
    profile = _load(names)
    query = urlencode(
        {"name": asked.get("name")} if asked.get("name") else {"group": asked.get("group")}
    )
    exported = f"{asked.base}flame.speedscope.json?{query}"
    return {
        "about": title(profile),
        "names": names,
        "requests": profile.requests,
        "duration": profile.duration,
        "event": profile.event,
        "svg": f"{asked.base}flame.svg?{query}",
        "profile": exported,
        "speedscope": f"{asked.base}static/speedscope/index.html#profileURL={quote(exported, '')}",
        "command": command(asked, where._replace(spec=where.dir), "flame", *words, period=False),
    }


def _names(name: str | None, group: str | None) -> list[str]:
    if name:
        return [name]
    if not group:
        raise Wrong("name: name a flame graph or a group")
    try:
        found = find(_folder())
        wanted = ProfileFilter(fingerprint=group)
        return [each.name for each in islice(filter(wanted.matches, found), MOST)]
    except OSError:
        return []


def _folder() -> str:
    config = get_config()
    return config.flames_dir or os.path.join(config.dir, FOLDER)


def is_here(name: str) -> bool:
    """True when there is a file of this name, which came out of an event."""
    return OURS.fullmatch(name) is not None and os.path.isfile(os.path.join(_folder(), name))


def _load(names: list[str]) -> Profile:
    """The profiles as one.

    Raises:
        Missing: none of them can be read.
    """
    config = get_config()
    files = FlameFiles(config.dir, config.flames_max_bytes, config.flames_dir)
    profiles = []
    for name in names:
        try:
            profiles.append(files.read(name))
        except (OSError, ValueError):
            continue  # removed in the meantime, or torn
    if not profiles:
        raise Missing(
            "There is no such flame graph: it has made room for newer ones, or is on another host."
        )
    return merge(profiles)


def drawing(request: HttpRequest) -> HttpResponse:
    """The graph as SVG, with a script and a style that only its own policy allows."""
    policy = (
        f"default-src 'none'; script-src {svg.SCRIPT_HASH}; style-src {svg.STYLE_HASH};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    response = _answer(request, svg.render, "image/svg+xml", policy)
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


def export(request: HttpRequest) -> HttpResponse:
    """The profile as speedscope reads it."""
    policy = "default-src 'none'; frame-ancestors 'none'"
    return _answer(request, speedscope.render, "application/json", policy)


def _answer(request: HttpRequest, render: object, kind: str, policy: str) -> HttpResponse:
    assert callable(render)
    try:
        access.check(request)
        name, group = (text(request.GET.get(each, "")) for each in ("name", "group"))
        body, status = render(_load(_names(name or None, group or None))), 200
    except access.Denied as denied:
        body, status, kind = str(denied), 403, "text/plain; charset=utf-8"
    except Wrong as wrong:
        body, status, kind = str(wrong), 400, "text/plain; charset=utf-8"
    except Missing as missing:
        body, status, kind = str(missing), 404, "text/plain; charset=utf-8"
    return guarded(HttpResponse(body, status=status, content_type=kind), policy)


PAGE = Page(
    "flame",
    "Flame graph",
    "Where the time of a request went, sampled.",
    data,
    {"name": Parameter(text, "name"), "group": Parameter(text, "group")},
    menu="requests",
)
