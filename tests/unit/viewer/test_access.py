"""Who may see the viewer: no one by accident."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import Client, override_settings

from slowhound.config.checks import check_viewer
from slowhound.viewer import urls
from tests.pages.made import write

BASE = "/staff/hound/"
EVENT = {"event_type": "request", "req_id": "a", "req_path": "/", "ts": 1e9, "resp_time": 0.1}
BROKEN = "tests.unit.viewer.test_access.broken_rule"
OWN_RULE = "tests.unit.viewer.site.only_with_a_badge"


def user(*, staff: bool = False, active: bool = True, known: bool = True) -> Any:
    return SimpleNamespace(is_authenticated=known, is_active=active, is_staff=staff)


USERS = {
    "no users": None,
    "anonymous": user(known=False),
    "user": user(),
    "staff": user(staff=True),
    "former staff": user(staff=True, active=False),
}


class LoggedIn:
    """Instead of Django's middleware: the user that the test names."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        named = USERS[request.headers.get("Test-User", "no users")]
        if named is not None:
            request.user = named
        return self.get_response(request)


def broken_rule(_request: Any) -> bool:
    raise RuntimeError("a rule of the site's that fails")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Any]:
    """``site(DEBUG=..., ALLOW=...)`` sets both."""
    active: list[override_settings] = []

    def set_up(allow: str | None = None, debug: bool = False, **more: Any) -> Path:
        folder = tmp_path / "dir"
        write(folder, [EVENT])
        viewer = {} if allow is None else {"VIEWER": {"ALLOW": allow}}
        override = override_settings(
            DEBUG=debug,
            ROOT_URLCONF="tests.unit.viewer.site",
            MIDDLEWARE=["tests.unit.viewer.test_access.LoggedIn"],
            SLOWHOUND={"DIR": str(folder), "STREAM": None, **viewer},
            **more,
        )
        override.enable()
        active.append(override)
        return folder

    yield set_up
    while active:
        active.pop().disable()


def status(who: str, path: str = BASE, **headers: Any) -> int:
    client = Client(raise_request_exception=False, headers={"Test-User": who})
    return client.get(f"{path}?since=all", **headers).status_code


@pytest.mark.parametrize("who", USERS)
def test_it_is_off_in_production_by_default(site: Any, who: str) -> None:
    """It is as if it did not exist, for staff, too."""
    site()
    assert status(who) == 404


@pytest.mark.parametrize(
    ("who", "expected"),
    [("no users", 403), ("anonymous", 403), ("user", 403), ("former staff", 403), ("staff", 200)],
)
@pytest.mark.parametrize("debug", [False, True])
def test_staff_means_staff(site: Any, who: str, expected: int, debug: bool) -> None:
    """Also while DEBUG is on; in a site without users no one is staff."""
    site("staff", debug=debug)
    assert status(who) == expected


@pytest.mark.parametrize(
    ("address", "headers", "expected"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("198.51.100.4", {}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"HTTP_X_FORWARDED_FOR": "198.51.100.4"}, 403),
        ("127.0.0.1", {"HTTP_FORWARDED": "for=198.51.100.4"}, 403),
        ("127.0.0.1", {"HTTP_X_REAL_IP": "198.51.100.4"}, 403),
    ],
)
def test_while_debugging_it_is_for_this_machine(
    site: Any, address: str, headers: dict[str, str], expected: int
) -> None:
    """Neither a colleague in the same network has access, nor a user behind a proxy."""
    site(debug=True)
    assert status("anonymous", REMOTE_ADDR=address, **headers) == expected
    assert status("staff", REMOTE_ADDR=address, **headers) == 200


def test_internal_ips_count_while_debugging(site: Any) -> None:
    """In a container the peer is never loopback."""
    site(debug=True, INTERNAL_IPS=["198.51.100.4"])
    assert status("anonymous", REMOTE_ADDR="198.51.100.4") == 200


def test_a_site_can_have_its_own_rule(site: Any) -> None:
    """A function that is called with the request decides alone."""
    site(OWN_RULE)
    assert status("staff") == 403
    assert status("anonymous", HTTP_BADGE="1") == 200


def test_rule_that_raises_denies_access(site: Any) -> None:
    """Its exception is handled by the site, as in any view."""
    site(BROKEN)
    assert status("staff") == 500


def test_another_host_is_refused_before_anything_else(site: Any) -> None:
    """A name that was pointed at this address is refused (DNS rebinding)."""
    site(debug=True, ALLOWED_HOSTS=["shop.example"])
    assert status("anonymous", HTTP_HOST="evil.example") == 400
    assert status("anonymous", HTTP_HOST="shop.example") == 200


@pytest.mark.parametrize("suffix", ["", *(f"{each}.json" for each in urls.VIEWER.pages)])
@pytest.mark.parametrize(("allow", "expected"), [(None, 404), ("staff", 403)])
def test_every_page_is_behind_the_rule(
    site: Any, suffix: str, allow: str | None, expected: int
) -> None:
    """Also as JSON; a refusal reveals nothing of the data."""
    folder = site(allow)
    answer = Client().get(BASE + suffix)
    assert answer.status_code == expected
    assert str(folder) not in answer.content.decode()


@pytest.mark.parametrize("name", ["flame.svg", "flame.speedscope.json"])
def test_drawings_are_behind_the_rule(site: Any, name: str) -> None:
    """They contain names of functions and statements."""
    site()
    assert Client().get(f"{BASE}{name}?group=x").status_code == 404
    site("staff")
    assert Client().get(f"{BASE}{name}?group=x").status_code == 403


def test_every_url_is_tested_above() -> None:
    """A new URL needs a test of its access."""
    tried = {"", "flame.svg", "flame.speedscope.json", "static/<path:name>"}
    tried |= {f"{page}.json" for page in urls.VIEWER.pages}
    tried |= {f"{page}/" for page in urls.VIEWER.pages if page != "overview"}
    assert {str(each.pattern) for each in urls.urlpatterns} == tried


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_nothing_can_be_changed(site: Any, method: str) -> None:
    """Every URL only accepts requests that read."""
    site(debug=True)
    assert getattr(Client(), method)(BASE).status_code == 405


def test_it_needs_no_template_settings_of_the_site(site: Any) -> None:
    """The settings of these tests have no file loader and no static files."""
    site(debug=True)
    assert "APP_DIRS" not in settings.TEMPLATES[0]
    assert status("anonymous", f"{BASE}views/") == 200
    assert status("anonymous", f"{BASE}static/viewer.css") == 200


@pytest.mark.parametrize(
    "name", ["../urls.py", "..%2Furls.py", "/etc/passwd", "uplot", "uplot/../viewer.css", "none.js"]
)
def test_only_the_files_of_the_viewer_are_served(site: Any, name: str) -> None:
    """By their exact names; a name never becomes a path."""
    site(debug=True)
    assert status("anonymous", f"{BASE}static/{name}") == 404


DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"


@pytest.mark.parametrize(
    ("allow", "middleware", "found"),
    [
        (None, [], []),
        ("debug", [], []),
        ("staff", [DJANGOS], []),
        ("staff", [], ["slowhound.W006"]),
        ("staff", [OWN_RULE], ["slowhound.W006"]),
        (OWN_RULE, [], []),
        ("no.such.rule", [], ["slowhound.E006"]),
        ("tests.unit.viewer.site.not_there", [DJANGOS], ["slowhound.E006"]),
    ],
)
def test_system_checks_find_wrong_access_rules(
    allow: str | None, middleware: list[str], found: list[str]
) -> None:
    """A rule that cannot be imported, and staff on a site without authentication."""
    viewer = {"VIEWER": {"ALLOW": allow}} if allow else {}
    with override_settings(MIDDLEWARE=middleware, SLOWHOUND=viewer):
        checked = check_viewer()
        ours = [each for each in run_checks() if str(each.id).endswith("006")]
    assert [each.id for each in checked] == found
    assert ours == checked
    assert all(each.hint for each in checked)
