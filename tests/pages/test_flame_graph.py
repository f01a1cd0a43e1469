"""Flame graphs in a real browser: what is visible, the controls, and the number of elements."""

from __future__ import annotations

import functools
import itertools
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import slowhound
from slowhound.flames.render import collapsed, pprof, speedscope, svg
from tests.harness.browser import chromium, keep_image, needs_chromium, page_of
from tests.harness.example_profiles import (
    LINES,
    basket,
    frame,
    normal_basket,
    profile_of,
    wide_and_deep,
)

pytestmark = [needs_chromium, pytest.mark.server, pytest.mark.slow]

SPEEDSCOPE = Path(slowhound.__file__).parent / "viewer" / "static" / "slowhound" / "speedscope"
POLICY = f"default-src 'none'; script-src {svg.SCRIPT_HASH}; style-src {svg.STYLE_HASH}"
PAGES = {
    "object.html": f"{POLICY}; object-src 'self'; frame-src 'self'",
    "inline.html": POLICY,
}
HOSTILE = "<script>document.title='broken'</script>]]>\u202e\"'&"


class Strict(SimpleHTTPRequestHandler):
    """A server whose policy allows only the graph's own script and style."""

    def end_headers(self) -> None:
        if "/speedscope/" not in self.path:
            name = self.path.rpartition("/")[2].partition("?")[0]
            self.send_header("Content-Security-Policy", PAGES.get(name, POLICY))
        super().end_headers()

    def log_message(self, *arguments) -> None:
        """Nothing: the test's output is for the test."""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the browser opens."""
    made = tmp_path_factory.mktemp("graphs")
    hostile = profile_of([(3, [frame(HOSTILE, HOSTILE, 1, "app")], "running")])
    for name, text in (
        ("basket.svg", svg.render(basket())),
        ("diff.svg", svg.render(basket(), normal_basket())),
        ("big.svg", svg.render(wide_and_deep())),
        ("hostile.svg", svg.render(hostile)),
        ("empty.svg", svg.render(profile_of([]))),
        ("object.html", '<!doctype html><object type="image/svg+xml" data="basket.svg"></object>'),
        ("inline.html", f"<!doctype html><p>A page.</p>{svg.render(basket())}"),
        ("basket.speedscope.json", speedscope.render(basket())),
        ("basket.collapsed.txt", collapsed.render(basket())),
    ):
        (made / name).write_text(text)
    (made / "basket.pb.gz").write_bytes(pprof.render(basket()))
    (made / "speedscope").symlink_to(SPEEDSCOPE)
    return made


@pytest.fixture(scope="module")
def site(folder):
    handler = functools.partial(Strict, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def page(browser):
    with page_of(browser, viewport={"width": 1200, "height": 760}) as found:
        yield found


def box(page, name):
    return page.locator(f'.box[aria-label^="{name}, "]').first


def count(page) -> int:
    return page.evaluate("document.querySelectorAll('*').length")


def width_of(page, name) -> float:
    return box(page, name).bounding_box()["width"]


def has_view(page) -> None:
    """The script has run and drawn the graph."""
    page.wait_for_selector(".tools input")
    assert box(page, "basket").count() == 1


@pytest.mark.parametrize("name", ["basket.svg", "inline.html"])
def test_it_works_under_a_strict_policy(page, site, name) -> None:
    """With nothing allowed but two hashes the script runs, as a file and inside a page."""
    page.goto(f"{site}/{name}")
    has_view(page)
    box(page, "Basket.lines").click()
    page.wait_for_selector(".status:has-text('Zoomed to Basket.lines')")


def test_it_works_as_an_object(page, site) -> None:
    """A page that embeds the file gets a graph that can be searched."""
    page.goto(f"{site}/object.html")
    inside = page.frames[1]
    inside.wait_for_selector(".tools input")
    inside.fill(".tools input", "price_of")
    inside.wait_for_selector(".status:has-text('Matched 19.9 %')")


def test_it_works_from_disk(page, folder) -> None:
    """A downloaded file opens without a server, and keeps its state in the address."""
    page.goto((folder / "basket.svg").as_uri())
    has_view(page)
    box(page, "Basket.lines").click()
    page.wait_for_function("location.hash.startsWith('#zoom=')")


def test_hostile_names_are_text(page, site) -> None:
    """A function whose name is markup is displayed as text, with direction marks made visible."""
    page.goto(f"{site}/hostile.svg")
    page.wait_for_selector(".tools input")
    assert page.title() == "GET /shop/basket/ - flame graph"
    label = page.locator(".box").nth(1).get_attribute("aria-label")
    assert label.startswith("<script>document.title='broken'</script>]]>\\u202e\"'&")
    page.locator(".box").nth(1).hover()
    page.wait_for_selector(".tip:has-text('<script>')")
    assert page.locator("script").count() == 1


def test_a_click_zooms_and_back_and_reset_undo_it(page, site, tmp_path) -> None:
    """The box takes the whole width, its callers stay above it, and Back goes back."""
    page.goto(f"{site}/basket.svg")
    before = width_of(page, LINES)
    box(page, "price_of").click()
    page.wait_for_selector(".status:has-text('Zoomed to price_of')")
    assert width_of(page, "price_of") == pytest.approx(1172, abs=2)
    assert box(page, LINES).count() == 0
    assert "above" in box(page, "basket").get_attribute("class")
    assert box(page, "basket").locator(".share").text_content() == "96.1 %"
    page.go_back()
    page.wait_for_function("!location.hash.includes('zoom')")
    page.wait_for_selector(f'.box[aria-label^="{LINES}"]')
    assert width_of(page, LINES) == pytest.approx(before, abs=0.5)
    box(page, "Basket.lines").click()
    box(page, "Basket.lines").hover()
    page.wait_for_selector(".tip:has-text('of its caller')")
    keep_image(page, "flame-zoom", tmp_path)
    page.click("button:has-text('Reset')")
    page.wait_for_selector('.box[aria-label^="price_of"]')


def test_a_search_says_how_much_it_matched(page, site, tmp_path) -> None:
    """Text or a regular expression; time is counted once however many boxes match in a stack."""
    page.goto(f"{site}/basket.svg")
    status = page.locator(".status")
    page.keyboard.press("/")
    page.keyboard.type("basket")
    assert page.evaluate("location.hash") == "#q=basket"
    assert "Matched 96.1 % of all time" in status.inner_text()
    page.fill(".tools input", "shop_(line|product)")
    assert "Matched 44.5 % of all time, in 2 boxes" in status.inner_text()
    hits = page.locator(".box.hit")
    assert hits.count() == 2
    assert page.locator(".searching").count() == 1
    keep_image(page, "flame-search", tmp_path)
    page.fill(".tools input", "(")  # no regular expression: text
    assert "Matched 0.0 %" in status.inner_text()
    page.keyboard.press("Escape")
    assert page.evaluate("location.hash") in ("", "#")
    assert page.evaluate("document.querySelector('.tools input').value") == ""


def test_address_restores_the_view(page, site) -> None:
    """A copied link opens the same view, zoom, search, colours and folding."""
    page.goto(f"{site}/basket.svg")
    page.click("button:has-text('Fold libraries')")
    page.click("button:has-text('Upside down')")
    page.select_option(".tools select", "kind")
    page.fill(".tools input", "price")
    box(page, "Basket.total").click()
    page.wait_for_selector(".status:has-text('Zoomed to Basket.total')")
    address, seen = page.url, page.locator(".boxes").inner_html()
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(".tools input")
    again = page.locator(".boxes").inner_html()
    assert re.sub('tabindex="[-0-9]+"', "", again) == re.sub('tabindex="[-0-9]+"', "", seen)
    assert page.locator(".k-app").count() > 1


def test_time_runs_from_left_to_right(page, site, tmp_path) -> None:
    """In the time view boxes are at the time they ran, and unsampled time has its own place."""
    page.goto(f"{site}/basket.svg#view=time")
    page.wait_for_selector(".axis")
    places = [
        box(page, name).bounding_box()["x"]
        for name in ("Basket.lines", "Basket.total", "tidy", "render")
    ]
    assert places == sorted(places)
    assert box(page, "tidy").locator(".s-unsampled").count() == 1
    assert box(page, "the request").count() == 1
    assert width_of(page, "the request") == pytest.approx(1172, abs=2)
    assert "1.0 s" in page.locator(".axis").text_content()
    assert page.locator(".strip path").count() == 4  # every state has its time
    keep_image(page, "flame-time", tmp_path)
    box(page, "Basket.total").click()
    page.wait_for_selector(".status:has-text('Zoomed to 2.2')")
    assert width_of(page, "Basket.total") == pytest.approx(1172, abs=2)


def test_runs_of_libraries_fold_into_one_box(page, site, tmp_path) -> None:
    """Folded, only your own functions are left above each other, and no time is lost."""
    page.goto(f"{site}/basket.svg")
    rows = page.locator(".boxes").bounding_box()["height"]
    page.click("button:has-text('Fold libraries')")
    page.wait_for_selector('.box[aria-label^="gunicorn, django (3 library calls)"]')
    assert page.locator(".boxes").bounding_box()["height"] < rows - 50
    assert box(page, "QuerySet.__iter__").count() == 0
    assert box(page, LINES).get_attribute("aria-label").endswith("900 ms, 35.2 %")
    keep_image(page, "flame-folded", tmp_path)


def test_difference_has_colours_and_numbers(page, site, tmp_path) -> None:
    """Compared with the normal profile, boxes have the colour of the change, and its number."""
    page.goto(f"{site}/diff.svg")
    page.wait_for_selector(".tools input")
    assert box(page, LINES).locator(".d-more3").count() == 1
    assert box(page, "price_of").locator(".d-less2").count() == 1
    assert "+2" in box(page, "Basket.lines").locator(".share").text_content()
    box(page, LINES).hover()
    page.wait_for_selector(".tip:has-text('points')")
    keep_image(page, "flame-diff", tmp_path)
    assert box(page, "vouchers").count() == 0
    page.select_option(".tools label:has-text('Widths') select", "before")
    page.wait_for_selector('.box[aria-label^="vouchers"]')
    assert box(page, "vouchers").locator(".d-less2").count() == 1


def test_everything_works_by_keyboard(page, site) -> None:
    """Tab reaches the graph once, arrows move in it, Enter zooms, Escape resets."""
    page.goto(f"{site}/basket.svg")
    page.wait_for_selector(".tools input")
    focused = (
        "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    )
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate(focused).startswith("the request"):
            break
    assert page.evaluate(focused).startswith("the request")
    assert page.locator('.box[tabindex="0"]').count() == 1
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    assert page.evaluate(focused).startswith("basket, ")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused).startswith("Basket.lines")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused).startswith("Basket.total")
    ring, area = page.locator(".ring").bounding_box(), box(page, "Basket.total").bounding_box()
    assert abs(ring["x"] - area["x"]) < 2
    assert page.locator(".tip:has-text('Basket.total')").is_visible()
    page.keyboard.press("Enter")
    assert "Zoomed to Basket.total" in page.locator(".status").inner_text()
    assert page.evaluate(focused).startswith("Basket.total")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused).startswith("basket, ")
    page.keyboard.press("Escape")
    assert page.evaluate("location.hash") in ("", "#")
    assert box(page, LINES).count() == 1
    tree = page.locator('[role="tree"]')
    assert tree.get_attribute("aria-label") == "Calls by time"
    assert tree.locator('[role="treeitem"]').count() == page.locator(".box").count()


def test_a_wide_and_deep_graph_makes_few_elements(page, site) -> None:
    """Of 50,000 boxes only the visible ones become elements, in each view and zoom."""
    for state in ("", "view=time", "fold=1", "colours=kind&up=1", "zoom=40"):
        page.goto("about:blank")
        page.goto(f"{site}/big.svg#{state}")
        page.wait_for_selector(".tools input")
        assert 0 < page.locator(".box").count() <= 2000, state
        assert count(page) < 12_000, state


def test_zoom_shows_what_was_too_narrow(page, site) -> None:
    """Boxes that have no element in the whole graph get one when their caller fills the width."""
    page.goto(f"{site}/big.svg")
    page.wait_for_selector(".tools input")
    seen = set(page.eval_on_selector_all(".box", "all => all.map(each => each.dataset.box)"))
    page.locator(".box").nth(5).click()
    page.wait_for_function("location.hash.startsWith('#zoom=')")
    zoomed = set(page.eval_on_selector_all(".box", "all => all.map(each => each.dataset.box)"))
    assert len(zoomed - seen) > 50


def test_it_is_a_static_drawing_without_scripts(browser, site) -> None:
    """Without scripts header, boxes, legend and footer are there, and no control without effect."""
    with page_of(
        browser, viewport={"width": 1200, "height": 760}, java_script_enabled=False
    ) as page:
        page.goto(f"{site}/basket.svg")
        assert page.locator("input, button").count() == 0
        assert page.locator(".box").count() > 30
        assert page.locator(".legend >> visible=true").count() >= 1
        for name in (".facts", ".foot", ".legend"):
            items = page.locator(f"{name} > g >> visible=true").all()
            areas = [each.bounding_box() for each in items]
            for one, other in itertools.pairwise(areas):
                same_line = one["y"] == other["y"]
                assert not same_line or one["x"] + one["width"] < other["x"], name


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("flame", {"viewport": {"width": 1200, "height": 760}}),
        ("flame-dark", {"viewport": {"width": 1200, "height": 760}, "color_scheme": "dark"}),
        (
            "flame-phone",
            {
                "viewport": {"width": 390, "height": 844},
                "has_touch": True,
                "device_scale_factor": 2,
            },
        ),
    ],
)
def test_it_fits_light_dark_and_phone(browser, site, tmp_path, name, options) -> None:
    """It takes the window's width, without scrolling sideways, in the reader's colour scheme."""
    with page_of(browser, **options) as page:
        page.goto(f"{site}/basket.svg")
        has_view(page)
        wide = options["viewport"]["width"]
        assert page.evaluate("document.documentElement.getBoundingClientRect().width") <= wide
        bar, legend = (
            page.locator(".bar").bounding_box(),
            page.locator(".legend").first.bounding_box(),
        )
        assert bar["y"] + bar["height"] <= legend["y"] + 1
        paper = page.evaluate("getComputedStyle(document.querySelector('.paper')).fill")
        assert paper == ("rgb(20, 24, 29)" if name.endswith("dark") else "rgb(255, 255, 255)")
        keep_image(page, name, tmp_path)


def test_it_prints_in_light_colours_without_controls(browser, site) -> None:
    """On paper there are no controls, and the background is white, for dark screens, too."""
    with page_of(browser, color_scheme="dark") as page:
        page.goto(f"{site}/basket.svg")
        has_view(page)
        page.emulate_media(media="print")
        assert not page.locator(".tools").is_visible()
        paper = page.evaluate("getComputedStyle(document.querySelector('.paper')).fill")
        assert paper == "rgb(255, 255, 255)"


def test_an_empty_graph_opens(page, site) -> None:
    """A request that ended before its first sample breaks nothing."""
    page.goto(f"{site}/empty.svg")
    page.wait_for_selector(".tools input")
    page.click("button:has-text('In time')")
    page.click("button:has-text('Fold libraries')")


@pytest.mark.parametrize("name", ["basket.speedscope.json", "basket.collapsed.txt", "basket.pb.gz"])
def test_the_real_speedscope_opens_it(page, site, folder, name) -> None:
    """The vendored application reads its own format, collapsed stacks and pprof."""
    page.goto(f"{site}/speedscope/index.html")
    page.wait_for_selector("input[type=file]", state="attached")
    page.set_input_files("input[type=file]", folder / name)
    page.wait_for_selector("text=Left Heavy")
    page.click("text=Sandwich")
    page.wait_for_selector("text=(unsampled)")
    page.wait_for_selector(f"text={LINES}")
    assert "2.5" in page.locator("body").inner_text() or page.locator("text=35").count() >= 1
