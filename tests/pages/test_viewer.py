"""The viewer over a shop's day, in a real browser: read, filtered, by keyboard, on a phone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from slowhound.viewer.urls import VIEWER
from tests.harness.browser import keep_image, needs_chromium, page_of, watched
from tests.harness.waiting import eventually
from tests.pages import made
from tests.pages.conftest import viewing

pytestmark = [needs_chromium, pytest.mark.slow]

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 375, "height": 720},
    "is_mobile": True,
    "device_scale_factor": 2,
}
# Each page as the screenshots in the docs show it.
PATHS = {
    "overview": "",
    "views": "views/",
    "requests": "requests/?sort=slowest",
    "request": "request/?id=slow-0001",
    "reports": "reports/",
    "report": "report/?group=0a1b2c3d4e5f6071",
    "deaths": "deaths/",
    "live": "live/",
    "sql": "sql/",
    "ask": "ask/?q=n1",
}
KEPT_IMAGES = {
    "overview",
    "views",
    "requests",
    "request",
    "reports",
    "report",
    "deaths",
    "sql",
    "ask",
}
IN_ALL_SCHEMES = {"overview", "report"}  # with screenshots in dark mode and on a phone, too
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Control and direction characters, which must not be in displayed text.
INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a viewer over an ordinary day."""
    folder = tmp_path_factory.mktemp("shop") / "slowhound"
    made.plain(folder, time.time(), count=800)
    with viewing(folder) as url:
        yield url


@pytest.fixture(scope="module")
def open_page(browser: Browser, shop: str) -> Iterator[Callable[..., Any]]:
    """A page of the shop, in a browser of that size; any problem fails the test.

    A new browsing context takes a fifth of a second: there is one for each kind of browser.
    """
    with ExitStack() as stack:
        pages: dict[str, tuple[Page, list[str]]] = {}

        @contextmanager
        def opened(path: str = "", **options: Any) -> Iterator[Page]:
            kind = repr(options)
            if kind not in pages:
                pages[kind] = stack.enter_context(watched(browser, **{**DESKTOP, **options}))
            page, problems = pages[kind]
            problems.clear()
            page.goto(shop + path)
            yield page
            assert not problems, problems

        yield opened


def ids(page: Page) -> list[str]:
    """The links in the rows of the first table, once the page has loaded."""
    page.wait_for_load_state()
    links = page.locator("main table tbody tr td.main a").all()
    return [str(link.get_attribute("href")) for link in links]


def fits_a_phone(page: Page) -> None:
    """Nothing is wider than the window when it becomes as narrow as a phone."""
    page.set_viewport_size(PHONE["viewport"])
    # Charts are drawn again a moment later.
    eventually(lambda: page.evaluate(WIDER) <= 0, "a page that fits a phone")
    page.set_viewport_size(DESKTOP["viewport"])


def can_be_read_aloud(page: Page) -> None:
    """One main heading, named regions and fields, heads of columns."""
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator(".wide th:not([scope])").count() == 0
    assert page.locator("[role=region]:not([aria-label]), nav:not([aria-label])").count() == 0
    unnamed = page.locator("input:not([type=hidden]), select, textarea, button, iframe, a")
    names = unnamed.evaluate_all(
        "all => all.filter(e => !(e.labels?.[0]?.textContent || e.textContent || e.title"
        " || e.getAttribute('aria-label')).trim()).map(e => e.outerHTML)"
    )
    assert names == []
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0


@pytest.mark.parametrize("name", PATHS)
def test_each_page_works_in_light_dark_and_on_a_phone(
    open_page: Any, tmp_path: Path, name: str
) -> None:
    """Without script errors or sideways scrolling, and readable by a screen reader."""
    schemes: dict[str, dict[str, Any]] = {"light": {}}
    if name in IN_ALL_SCHEMES:
        schemes |= {"phone": PHONE, "dark": {"color_scheme": "dark"}}
    for scheme, options in schemes.items():
        with open_page(PATHS[name], **options) as page:
            expect(page.locator("h1")).to_be_visible()
            assert page.evaluate(WIDER) <= 0, scheme
            assert page.locator("[role=alert]").count() == 0
            if name in IN_ALL_SCHEMES and scheme != "light":
                keep_image(page, f"viewer-{name}-{scheme}", tmp_path)
            elif name in KEPT_IMAGES:
                keep_image(page, f"viewer-{name}", tmp_path)
            if scheme == "light":
                can_be_read_aloud(page)
                fits_a_phone(page)


def test_every_page_is_tested() -> None:
    """Flame graphs have tests of their own."""
    assert set(PATHS) == set(VIEWER.pages) - {"flame"}


def test_charts_show_the_numbers_of_the_table(open_page: Any) -> None:
    """Four charts, and a table for readers without them."""
    with open_page() as page:
        expect(page.locator(".chart canvas")).to_have_count(4)
        page.locator("summary", has_text="Numbers").click()
        cells = page.locator(".numbers tbody tr td:nth-child(2)").all_inner_texts()
        total = sum(int(each.replace(",", "")) for each in cells)
        figure = page.locator(".figures dd").first.inner_text()
        assert total == int(figure.replace(",", ""))
        assert page.locator(".chart[role=img][aria-label]").count() == 4


def test_dragging_over_a_chart_selects_that_period(open_page: Any) -> None:
    """The period is then in the URL and on the page."""
    with open_page() as page:
        box = page.locator(".chart .u-over").first.bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 220, box["y"] + 40, steps=4)
        page.mouse.up()
        page.wait_for_url(re.compile(r"since=\d+&until=\d+"))
        expect(page.locator(".span")).to_be_visible()
        page.get_by_role("link", name="Requests", exact=True).click()
        page.wait_for_url(re.compile(r"/requests/.*since=\d+&until=\d+"))


FILTERS = {
    "view": ("checkout", "tr", "checkout"),
    "path": ("PRODUCT/1", "tr", "/product/1"),
    "status": ("5xx", "tr", "500"),
    "exc": ("CardDeclined", "tr", "CardDeclined"),
    "min": ("2", "tr", " s"),
    "method": ("POST", "tr", "POST"),
    "queries": ("30", "tr", "orders"),
    "outcome": ("killed", "tr", "killed"),
    "kind": ("task", "tr", "shop.tasks.send_receipt"),
    "n1": ("yes", "tr", "N+1"),
    "group": ("0a1b2c3d4e5f6071", "tr", "checkout"),
    "sql": (made.STATEMENTS["search"], "tr", "search"),
}
# These filters have no column in the table.
UNSEEN = {"host": "web-2", "pid": "4712", "release": "2026.47"}


@pytest.mark.parametrize("name", [*FILTERS, *UNSEEN])
def test_each_filter_is_a_field_of_the_form(open_page: Any, name: str) -> None:
    """Typed, submitted by Enter, kept in the URL and in the form, and true of each row."""
    with open_page("requests/") as page:
        everything = page.locator("strong").first.inner_text()
        more = page.locator("summary", has_text="More filters")
        field = page.locator(f"form.filters [name={name}]")
        if not field.is_visible():
            more.click()
        given = FILTERS[name][0] if name in FILTERS else UNSEEN[name]
        if field.evaluate("each => each.tagName") == "SELECT":
            field.select_option(given)
            page.get_by_role("button", name="Filter").click()
        else:
            field.fill(given)
            field.press("Enter")
        page.wait_for_url(re.compile(rf"[?&]{name}="))
        assert re.findall(r"[?&](\w+)=", page.url) == [name]
        assert page.locator(f"form.filters [name={name}]").input_value() == given
        assert page.locator(f"form.filters [name={name}]").is_visible()
        rows = page.locator("main table tbody tr").all_inner_texts()
        assert rows
        if name in FILTERS:
            assert [row for row in rows if FILTERS[name][2] not in row] == []
        if name != "release":  # all have the same
            assert page.locator("strong").first.inner_text() != everything
        page.get_by_role("link", name="Clear").click()
        expect(page.locator("strong").first).to_have_text(everything)


def test_paging_and_sorting_are_in_the_url(open_page: Any) -> None:
    """A copied link shows the same, and Back goes back."""
    with open_page("requests/?view=product") as page:
        page.get_by_role("link", name="oldest").click()
        page.wait_for_url(re.compile("sort="))
        first = ids(page)
        page.get_by_role("link", name="Next").click()
        page.wait_for_url(re.compile("page=2"))
        second = ids(page)
        assert len(second) == 50
        assert not set(first) & set(second)
        again = page.url
        page.go_back()
        assert ids(page) == first
        page.goto(again)
        assert ids(page) == second


def test_sorted_column_is_marked(open_page: Any) -> None:
    """Visibly, and for screen readers."""
    with open_page("views/") as page:
        assert page.locator("th[aria-sort]").inner_text().startswith("Total time")
        page.get_by_role("link", name="p99").click()
        expect(page.locator("th[aria-sort]")).to_have_text(re.compile("^p99"))


def test_from_a_report_to_its_request_and_back(open_page: Any) -> None:
    """Group, report, request, and the report again."""
    with open_page("reports/") as page:
        page.get_by_role("link", name="shop/stock.py:31:reserve").click()
        expect(page.locator(".verdict .quoted").first).to_contain_text("stuck for about 1.0 s")
        expect(page.locator("pre.stack")).to_contain_text("stock.select_for_update()")
        expect(page.locator(".waterfall tbody tr")).to_have_count(5)
        page.get_by_role("link", name="the request", exact=True).click()
        expect(page.locator("h1")).to_contain_text("/checkout/")
        expect(page.locator(".shares")).to_contain_text("database")
        page.get_by_role("link", name="The report of this slow request").click()
        expect(page.locator("h2", has_text="Other requests in flight")).to_be_visible()


def test_menu_shows_the_page_that_is_open(open_page: Any) -> None:
    """Also the last one on a phone, where the menu is wider than the page."""
    with open_page("ask/?q=n1", **PHONE) as page:
        menu, here = (
            "document.querySelector('.top nav')",
            "document.querySelector('[aria-current]')",
        )
        assert page.evaluate(f"{menu}.scrollWidth > {menu}.clientWidth")
        assert page.evaluate(f"{here}.getBoundingClientRect().right <= innerWidth")
        assert page.evaluate(f"{here}.getBoundingClientRect().left >= 0")


def test_everything_can_be_reached_by_keyboard(open_page: Any) -> None:
    """The first stop is the link that skips the menu; each stop is visible."""
    with open_page("views/") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        seen = []
        for _ in range(60):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate(
                    "(e => [e.tagName, e.textContent.trim().slice(0, 20),"
                    " getComputedStyle(e).outlineStyle])(document.activeElement)"
                )
            )
            if seen[-1][1].startswith("This page as JSON"):
                break
        assert seen[-1][1].startswith("This page as JSON")
        assert [each for each in seen if each[2] == "none"] == []
        assert "checkout" in [each[1] for each in seen]


def contrast(page: Page, first: str, second: str) -> float:
    """The contrast of two of the style's colours, as WCAG 2 computes it."""

    def light(name: str) -> float:
        value = page.evaluate(
            f"getComputedStyle(document.documentElement).getPropertyValue('{name}')"
        ).strip()
        parts = [int(value[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]  # fmt: skip  # noqa: E501
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lights = sorted((light(first), light(second)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(open_page: Any, scheme: str) -> None:
    """4.5 to 1, as WCAG's level AA requires."""
    with open_page(color_scheme=scheme) as page:
        for text in ("--ink", "--soft", "--accent", "--bad"):
            for ground in ("--ground", "--raised", "--sunk"):
                assert contrast(page, text, ground) >= 4.5, (text, ground)
        assert contrast(page, "--accent", "--accent-soft") >= 4.5
        assert contrast(page, "--bad", "--bad-soft") >= 4.5


def test_pages_can_be_read_without_scripts(open_page: Any) -> None:
    """There are no charts then, but their numbers."""
    with open_page(java_script_enabled=False) as page:
        assert page.locator(".numbers tbody tr").count() > 50
    with open_page("requests/?view=product", java_script_enabled=False) as page:
        assert len(ids(page)) == 50


def test_questions_and_own_sql_are_answered(open_page: Any) -> None:
    """By name, with parameters, and in SQL."""
    with open_page("ask/") as page:
        page.get_by_role("link", name="traffic").click()
        page.locator("[name=step]").fill("3600")
        page.locator("[name=step]").press("Enter")
        page.wait_for_url(re.compile("step=3600"))
        expect(page.locator("table.answer")).to_be_visible()
        assert "step=3600" in page.locator("#command").inner_text()
        page.locator("textarea").fill("SELECT resp_view, count(*) AS n FROM events GROUP BY 1")
        page.locator(".own button").click()
        expect(page.locator("table.answer")).to_contain_text("checkout")
        assert page.locator("textarea").input_value().startswith("SELECT resp_view")


def test_refused_sql_stays_in_the_form(browser: Browser, shop: str) -> None:
    """With the reason beside it."""
    context = browser.new_context()
    page = context.new_page()  # the status of the response is an error on the console
    page.goto(shop + "ask/")
    page.locator("textarea").fill("DELETE FROM events")
    page.locator(".own button").click()
    expect(page.locator("[role=alert]")).to_be_visible()
    assert page.locator("textarea").input_value() == "DELETE FROM events"
    context.close()


# --- hostile texts, everywhere ----------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[made.Event]]]:
    folder = tmp_path_factory.mktemp("hostile") / "slowhound"
    events = made.hostile(folder, time.time())
    with viewing(folder) as url:
        yield url, events


# One script, because each call of the browser takes as long as a small page.
SEEN = f"""() => ({{
  title: document.title,
  wider: {WIDER},
  text: document.body.innerText,
  foreign: document.querySelectorAll(
    "main img, main script:not([type='application/json']), a[href^='javascript' i]").length,
  outside: [...document.links].map(e => e.origin).filter(e => e !== location.origin),
}})"""


def check_page(page: Page, url: str) -> None:
    """Opens it, and checks that no stored text had an effect."""
    page.goto(url)
    seen = page.evaluate(SEEN)
    assert seen["title"].endswith("slowhound")
    assert seen["wider"] <= 0, url
    assert INVISIBLE.findall(seen["text"]) == [], url
    assert seen["foreign"] == 0
    assert seen["outside"] == [], url


def test_stored_texts_have_no_effect_on_any_page(
    browser: Browser, hostile: tuple[str, list[made.Event]]
) -> None:
    """No script, no markup, no changed direction, no cursor moved, no page made wide."""
    url, _ = hostile
    paths = ["", "views/", "requests/", "reports/", "deaths/", "live/", "sql/", "ask/"]
    questions = ["views", "slowest", "errors", "n1", "sql", "deaths", "groups", "request&id=x"]
    with page_of(browser, **DESKTOP) as page:
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        for path in [*paths, *(f"ask/?q={name}" for name in questions)]:
            check_page(page, url + path)
            fits_a_phone(page)


def test_links_out_of_stored_texts_lead_to_their_events(
    browser: Browser, hostile: tuple[str, list[made.Event]]
) -> None:
    """Whatever is in an id, its request and its report are found, without effects."""
    url, _ = hostile
    with page_of(browser, **DESKTOP) as page:
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        links = set()
        for path in ("requests/?kind=request", "reports/", "deaths/"):
            page.goto(url + path)
            links |= set(ids(page))
        assert len(links) >= 2 * len(made.HOSTILE)
        for link in links:
            check_page(page, url.rstrip("/") + link)


def test_texts_in_the_url_have_no_effect(
    browser: Browser, hostile: tuple[str, list[made.Event]]
) -> None:
    """Links can be sent by others: their filters are displayed as text."""
    url, _ = hostile
    context = browser.new_context()
    page = context.new_page()  # without page_of: a refusal is an error on the console
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("console", lambda each: problems.append(each.text) if "Refused" in each.text else None)
    for text in made.HOSTILE:
        given = quote(text[:1500], errors="replace")
        for path in (f"requests/?view={given}&path={given}", f"?since={given}"):
            check_page(page, url + path)
    context.close()
    assert problems == []
