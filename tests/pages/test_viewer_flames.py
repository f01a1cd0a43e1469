"""Flame graphs in the viewer: framed in a page, on their own page, and in speedscope."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.harness.browser import needs_chromium, page_of
from tests.pages.conftest import viewing
from tests.unit.viewer.test_pages import drawn, event, write

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a viewer, and the name of a flame graph in it."""
    folder = tmp_path_factory.mktemp("flames")
    name = drawn(folder)
    write(folder, [event("a", flame=name)])
    with viewing(folder) as url:
        yield url, name


def test_graph_is_on_the_page_of_its_request(browser: Browser, graph: tuple[str, str]) -> None:
    """Its script runs in its frame, and nothing else does."""
    url, _ = graph
    with page_of(browser) as page:
        page.goto(f"{url}request/?id=a")
        drawing = page.frame_locator("iframe.flame").locator("svg.slowhound-flame")
        expect(drawing).to_be_visible()
        page.get_by_role("link", name="On its own page").click()
        expect(page.locator("iframe.tall")).to_be_visible()


def test_speedscope_opens_it(browser: Browser, graph: tuple[str, str]) -> None:
    """From the files of the viewer, under its own policy."""
    url, name = graph
    with page_of(browser) as page:
        page.goto(f"{url}flame/?name={name}")
        with page.expect_response("**/flame.speedscope.json*") as fetched:
            page.get_by_role("link", name="Open in speedscope").click()
        assert fetched.value.ok
