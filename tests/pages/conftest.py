"""The viewer as users run it, `slowhound view`, and a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.harness.browser import chromium


@contextmanager
def viewing(folder: Path, *arguments: str) -> Iterator[str]:
    """Runs `slowhound view` over a folder, on a free port; returns the URL that it prints."""
    command = [sys.executable, "-m", "slowhound", "view", "--bind", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--dir", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        printed = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", printed)
        assert found, printed + process.stdout.read()
        yield found[0]
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found
