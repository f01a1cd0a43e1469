"""The page with one flame graph, its drawing as SVG, and its profile for speedscope."""

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
from slowhound.viewer.query import BadQuery, Query, QueryParameter, text
from slowhound.viewer.responses import ERRORS, Data, NotFound, Page, secured
from slowhound.viewer.sources import Sources

# A group's graph is made of its newest profiles; more of them change it little.
MOST_PROFILES = 50


def data(query: Query, sources: Sources) -> Data:
    """What the graph shows, and the URLs of its drawing and its profile."""
    arguments = [query.get("name")] if query.get("name") else ["--fingerprint", query.get("group")]
    names = _names(query.get("name"), query.get("group"))
    profile = _load(names)
    parameters = urlencode(
        {"name": query.get("name")} if query.get("name") else {"group": query.get("group")}
    )
    exported = f"{query.base}flame.speedscope.json?{parameters}"
    return {
        "about": title(profile),
        "names": names,
        "requests": profile.requests,
        "duration": profile.duration,
        "event": profile.event,
        "svg": f"{query.base}flame.svg?{parameters}",
        "profile": exported,
        "speedscope": f"{query.base}static/speedscope/index.html#profileURL={quote(exported, '')}",
        "command": command(
            query, sources._replace(spec=sources.dir), "flame", *arguments, period=False
        ),
    }


def _names(name: str | None, group: str | None) -> list[str]:
    if name:
        return [name]
    if not group:
        raise BadQuery("name: give the name of a flame graph, or a group")
    try:
        found = find(_folder())
        wanted = ProfileFilter(fingerprint=group)
        return [each.name for each in islice(filter(wanted.matches, found), MOST_PROFILES)]
    except OSError:
        return []


def _folder() -> str:
    config = get_config()
    return config.flames_dir or os.path.join(config.dir, FOLDER)


def is_here(name: str) -> bool:
    """True when this host has the file; its name came out of an event."""
    return OURS.fullmatch(name) is not None and os.path.isfile(os.path.join(_folder(), name))


def _load(names: list[str]) -> Profile:
    """The profiles as one.

    Raises:
        NotFound: none of them can be read.
    """
    config = get_config()
    files = FlameFiles(config.dir, config.flames_max_bytes, config.flames_dir)
    profiles = []
    for name in names:
        try:
            profiles.append(files.read(name))
        except (OSError, ValueError):
            continue  # removed in the meantime, or cut short
    if not profiles:
        raise NotFound(
            "This flame graph is not here: it was removed for newer ones, or is on another host."
        )
    return merge(profiles)


def drawing(request: HttpRequest) -> HttpResponse:
    """The graph as SVG; its policy allows its own script and style, by their hashes."""
    policy = (
        f"default-src 'none'; script-src {svg.SCRIPT_HASH}; style-src {svg.STYLE_HASH};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    response = _respond(request, svg.render, "image/svg+xml", policy)
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


def export(request: HttpRequest) -> HttpResponse:
    """The profile in the format of speedscope."""
    policy = "default-src 'none'; frame-ancestors 'none'"
    return _respond(request, speedscope.render, "application/json", policy)


def _respond(request: HttpRequest, render: object, kind: str, policy: str) -> HttpResponse:
    assert callable(render)
    try:
        access.check(request)
        name, group = (text(request.GET.get(each, "")) for each in ("name", "group"))
        body, status = render(_load(_names(name or None, group or None))), 200
    except tuple(ERRORS) as error:
        body, status, kind = str(error), ERRORS[type(error)][0], "text/plain; charset=utf-8"
    return secured(HttpResponse(body, status=status, content_type=kind), policy)


PAGE = Page(
    "flame",
    "Flame graph",
    "Where the time of a request went, by sampling.",
    data,
    {"name": QueryParameter(text, "name"), "group": QueryParameter(text, "group")},
    menu="requests",
)
