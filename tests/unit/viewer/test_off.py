"""While the viewer is off, its URLs are like any others that do not exist."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path, re_path, reverse

from slowhound.viewer import urls

MOUNTED = [path("home/", lambda _request: HttpResponse("home"), name="home")]
MOUNTED += [path("hound/", include("slowhound.viewer.urls"))]


def _rest(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("a page of the site's own application")


SITE = "tests.unit.viewer.test_off"
urlpatterns = MOUNTED

MIDDLEWARE = [
    "slowhound.middleware.SlowhoundMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "tests.unit.viewer.test_off.anonymous",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "tests.unit.viewer.test_off.LoginRequired",
]
# What a site's own 404 page may display.
TELLTALE = "{{ exception }} {{ request.resolver_match }} {{ request.method }}"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [("django.template.loaders.locmem.Loader", {"404.html": TELLTALE})],
            "context_processors": ["django.template.context_processors.request"],
        },
    }
]

PATHS = ["", "?since=all", "none", "none/", "static/none.js", "static/../urls.py"]
PATHS += ["static/viewer.css", "static/speedscope/index.html", "static/", "static"]
PATHS += ["flame.svg", "flame.svg?group=x", "flame.speedscope.json"]
for name in urls.VIEWER.pages:
    PATHS += [f"{name}/", name, f"{name}.json", f"{name}.json/", f"{name}/?sql=SELECT+1"]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO"]


def anonymous(get_response: Any) -> Any:
    """Instead of Django's middleware: no user is logged in."""

    def middleware(request: HttpRequest) -> Any:
        request.user = SimpleNamespace(is_authenticated=False, is_active=False, is_staff=False)
        return get_response(request)

    return middleware


class LoginRequired:
    """Like Django's own, which needs the user models to be installed."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, _request: HttpRequest, view: Any, *_args: Any) -> Any:
        return None if view is _rest else HttpResponseRedirect("/login/")


OFF = [{}, {"VIEWER": {"ALLOW": "debug"}}, {"ENABLED": False, "VIEWER": {"ALLOW": "staff"}}]


@pytest.fixture(params=OFF, ids=["usual", "debug", "disabled"])
def _off(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    with _site(tmp_path, request.param):
        yield


def _site(folder: Path, given: dict[str, Any], **more: Any) -> override_settings:
    settings = {
        "DEBUG": False,
        "ROOT_URLCONF": SITE,
        "MIDDLEWARE": MIDDLEWARE,
        "TEMPLATES": TEMPLATES,
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
        "SLOWHOUND": {"DIR": str(folder / "dir"), "STREAM": None, **given},
    }
    return override_settings(**settings | more)


def answer(method: str, where: str, **headers: str) -> tuple[int, list[Any], bytes]:
    """The whole response except the date."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    found = client.generic(method, where, data=b"{}", headers=headers)
    seen = [pair for pair in sorted(found.items()) if pair[0] != "Date"]
    return found.status_code, [*seen, *found.cookies.items()], found.content


@pytest.mark.usefixtures("_off")
@pytest.mark.parametrize("method", METHODS)
def test_urls_of_the_viewer_cannot_be_told_from_missing_ones(method: str) -> None:
    """By status, headers, cookies or body, with any method."""
    expected = answer(method, "/nothing/here/")
    assert expected[0] == 404
    for each in PATHS:
        assert answer(method, f"/hound/{each}") == expected, each
    assert answer(method, "/hound") == expected


@pytest.mark.usefixtures("_off")
def test_no_request_header_reveals_it() -> None:
    """No content type, language or origin."""
    for headers in (
        {"accept": "application/json"},
        {"accept-language": "de"},
        {"x-requested-with": "XMLHttpRequest"},
        {"origin": "https://evil.example"},
        {"if-none-match": '"x"'},
        {"range": "bytes=0-1"},
    ):
        for each in ("", "ask.json", "static/viewer.css", "live"):
            assert answer("GET", f"/hound/{each}", **headers) == answer("GET", "/no", **headers)


@pytest.mark.usefixtures("_off")
def test_it_is_not_revealed_under_asgi() -> None:
    """The same patterns serve both."""

    async def seen(method: str, where: str) -> tuple[int, list[Any], bytes]:
        found: Any = await AsyncClient(enforce_csrf_checks=True).generic(method, where)
        return found.status_code, sorted(found.items()), found.content

    for method in ("GET", "POST"):
        expected = asyncio.run(seen(method, "/nothing/here/"))
        assert expected[0] == 404
        for each in ("", "views", "ask/", "static/viewer.js"):
            assert asyncio.run(seen(method, f"/hound/{each}")) == expected, each


def test_catch_all_pattern_also_matches_the_viewers_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they would stand out where every other URL is a page."""
    monkeypatch.setattr(f"{SITE}.urlpatterns", [*MOUNTED, re_path("", _rest)])
    with _site(tmp_path, {}):
        expected = answer("GET", "/nothing/here/")
        assert b"own application" in expected[2]
        for each in PATHS:
            assert answer("GET", f"/hound/{each}") == expected, each


def test_debug_404_page_reveals_only_the_include(tmp_path: Path) -> None:
    """It lists the site's patterns, but no setting and no view of the viewer."""
    with _site(tmp_path, {"ENABLED": False}, DEBUG=True):
        status, _, body = answer("GET", "/hound/ask/")
    assert status == 404
    assert b"didn\xe2\x80\x99t match any of these" in body
    assert b"Raised by" not in body


@pytest.mark.usefixtures("_off")
def test_links_to_it_can_be_reversed() -> None:
    """A template with a link to it works in production."""
    assert reverse("slowhound:overview") == "/hound/"
    assert reverse("slowhound:ask") == "/hound/ask/"
    assert reverse("home") == "/home/"


def test_it_resolves_as_soon_as_it_is_on(tmp_path: Path) -> None:
    """In the same process, with the same patterns: the current settings count."""
    with _site(tmp_path, {}):
        assert answer("GET", "/hound/static/viewer.css")[0] == 404
    without_login = [each for each in MIDDLEWARE if "LoginRequired" not in each]
    with _site(tmp_path, {"VIEWER": {"ALLOW": "staff"}}, MIDDLEWARE=without_login):
        assert answer("GET", "/hound/static/viewer.css")[0] == 200
        assert answer("GET", "/hound/")[0] == 403
        assert answer("GET", "/hound/views")[0] == 301
