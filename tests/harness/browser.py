"""Drives a real Chromium, without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.harness.waiting import DEADLINE

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
IMAGES = Path(__file__).parents[2] / "docs" / "images"
# The deadline of all other waiting; Playwright's own 5 s are short on a busy machine.
expect.set_options(timeout=DEADLINE * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; starting one takes about a second, so a module of tests shares it."""
    with sync_playwright() as playwright:
        # Root may not use Chromium's sandbox, and CI often is root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_of(browser: Browser, **options: Any) -> Iterator[Page]:
    """A new page; fails the test when a script on it raised or CSP blocked one."""
    with watched(browser, **options) as (page, problems):
        yield page
        assert not problems, problems


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page, and the errors of scripts and of CSP on it, for tests that share one."""
    context = browser.new_context(**options)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"raised: {error}"))
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    try:
        yield page, problems
    finally:
        context.close()


def keep_image(page: Page, name: str, tmp_path: Path, **options: Any) -> Path:
    """A screenshot; ``SLOWHOUND_SCREENSHOTS=1`` puts it into the docs, where it must exist.

    ``make screenshots`` sets that: a run of the tests must not change the tree.
    """
    renew = os.environ.get("SLOWHOUND_SCREENSHOTS") == "1"
    kept = IMAGES / f"{name}.png"
    if renew:
        IMAGES.mkdir(exist_ok=True)
    path = kept if renew else tmp_path / f"{name}.png"
    page.screenshot(path=path, **options)
    assert path.stat().st_size > 1000
    assert kept.exists(), f"docs/images/{name}.png is missing; `make screenshots` makes it"
    return path
