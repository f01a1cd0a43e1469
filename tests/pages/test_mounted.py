"""The viewer in a site under Gunicorn, with Django's users, after real traffic."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.harness.browser import keep_image, needs_chromium, page_of
from tests.harness.launch import ROOT, Launcher, Setup
from tests.harness.site import Site
from tests.harness.waiting import eventually

pytestmark = [
    needs_chromium,
    pytest.mark.server,
    pytest.mark.slow,
]

REFRESH_MS = 2_000  # milliseconds between updates of the live page
WISHES: dict[str, Any] = {
    "worker": "gthread",
    "threads": 8,
    "settings": {"VIEWER": {"ALLOW": "staff"}, "SLOW_AFTER": 0.4, "IGNORE": ["/slowhound/"]},
    "django": {
        "ROOT_URLCONF": "tests.pages.mounted",
        "INSTALLED_APPS": [
            "slowhound",
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "tests.site",
        ],
        "MIDDLEWARE": [
            "slowhound.middleware.SlowhoundMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
    },
}


@pytest.fixture(scope="module")
def shop(serve_module: Launcher) -> tuple[Site, dict[str, str]]:
    """A site that has had traffic, and the sessions of its users."""
    site = serve_module(**WISHES)
    environ = Setup(**WISHES).environment(site.scratch, site.scratch / "record")
    made = subprocess.run(
        [sys.executable, "-m", "tests.pages.mounted"],
        cwd=ROOT, env=environ, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    for path in ("/ok/", "/ok/", "/item/3/", "/n1/", "/raise/", "/sleep/1/"):
        site.get(path)
    return site, json.loads(made.stdout)


@contextmanager
def seen_by(browser: Browser, shop: tuple[Site, dict[str, str]], who: str) -> Iterator[Page]:
    """A page of a browser in which this user is logged in."""
    site, sessions = shop
    headers = {"Cookie": f"sessionid={sessions[who]}"}
    with page_of(browser, extra_http_headers=headers) as page:
        page.goto(f"http://{site.address.host}:{site.address.port}/slowhound/")
        yield page


@pytest.mark.parametrize(
    ("who", "status"), [(None, 403), ("user", 403), ("former", 403), ("staff", 200)]
)
def test_only_staff_have_access(
    shop: tuple[Site, dict[str, str]], who: str | None, status: int
) -> None:
    """Others learn that there is a viewer, but nothing of its data."""
    site, sessions = shop
    headers = {"Cookie": f"sessionid={sessions[who]}"} if who else {}
    for path in ("/slowhound/", "/slowhound/requests.json", "/slowhound/live/"):
        answer = site.get(path, headers)
        assert answer.status == status
        assert (b"/item/3/" in answer.body) == (status == 200 and "requests" in path)


def test_recent_requests_are_displayed(browser: Browser, shop: tuple[Site, dict[str, str]]) -> None:
    """The requests, the error, the N+1, and the slow one with its stack."""
    with seen_by(browser, shop, "staff") as page:
        page.get_by_role("link", name="Requests", exact=True).click()
        rows = page.locator("main tbody tr")
        expect(rows.filter(has_text="/item/3/")).to_have_count(1)
        expect(rows.filter(has_text="/raise/").locator(".tag.bad")).to_have_count(1)
        expect(rows.filter(has_text="/n1/").locator(".tag", has_text="N+1")).to_have_count(1)
        page.get_by_role("link", name="Reports", exact=True).click()
        page.locator("main tbody tr", has_text="sleep").locator("a").first.click()
        expect(page.locator("pre.stack")).to_contain_text("time.sleep")
        page.get_by_role("link", name="the request", exact=True).click()
        expect(page.locator("h1")).to_contain_text("/sleep/1/")


def test_live_page_updates_itself(
    browser: Browser, shop: tuple[Site, dict[str, str]], tmp_path: Path
) -> None:
    """Without reloading; a pause stops that."""
    site, _ = shop
    gate, other = site.gate("viewed"), site.gate("later")
    waiting = [site.start("/gate/viewed/"), site.start("/query-then-gate/viewed/")]
    gate.wait_entered(2)
    with seen_by(browser, shop, "staff") as page:
        page.clock.install()
        page.get_by_role("link", name="Live", exact=True).click()
        row = page.locator(".live tbody tr", has_text="/gate/viewed/")
        expect(row.locator("td.code")).to_contain_text("wait_at")
        keep_image(page, "viewer-live", tmp_path)
        gate.open()
        for each in waiting:
            each.result()
        page.clock.run_for(REFRESH_MS)
        expect(row).to_have_count(0)
        page.get_by_role("button", name="Pause").click()
        waiting = [site.start("/gate/later/")]
        other.wait_entered()
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.clock.run_for(5 * REFRESH_MS)
        assert page.evaluate("document.getElementById('pulse').className") == "pulse"
        assert requested == []
        page.get_by_role("button", name="Resume").click()
        page.clock.run_for(REFRESH_MS)
        later = page.locator(".live tbody tr", has_text="/gate/later/")
        expect(later).to_have_count(1)
        other.open()
        waiting[0].result()


def test_live_page_reports_a_lost_server(
    browser: Browser, shop: tuple[Site, dict[str, str]]
) -> None:
    """The page says that its data is old, and recovers."""
    with seen_by(browser, shop, "staff") as page:
        page.clock.install()
        page.get_by_role("link", name="Live", exact=True).click()
        expect(page.locator(".live")).to_be_visible()
        page.route("**/live/", lambda route: route.fulfill(status=200, body="<p>a login page"))
        page.clock.run_for(REFRESH_MS)
        expect(page.locator("#pulse-text")).to_contain_text("this data is old")
        page.unroute("**/live/")
        page.clock.run_for(REFRESH_MS)
        expect(page.locator("#pulse-text")).to_contain_text("as of")


def test_its_own_requests_are_recorded_like_any(shop: tuple[Site, dict[str, str]]) -> None:
    """As the docs say, with how to leave them out."""
    site, sessions = shop
    headers = {"Cookie": f"sessionid={sessions['staff']}"}
    found = eventually(
        lambda: [
            row
            for row in json.loads(site.get("/slowhound/requests.json", headers).body)["rows"]
            if row["req_path"].startswith("/slowhound/")
        ],
        "a request to the viewer in its own store",
    )
    assert all((row["resp_view"] or "slowhound:").startswith("slowhound:") for row in found)
