"""Runs `slowhound watch`, by which tests decide from when on a request is slow."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from slowhound.cli import main
from tests.harness.site import Site


def watch(site: Site, *arguments: str) -> tuple[int, str]:
    """Its exit code and its error output."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as err:
        code = main(["watch", "--dir", str(site.dir), *arguments])
    return code, err.getvalue()


def make_slow(site: Site, view: str = "") -> None:
    """From now on each request is slow, also one in flight; or only those of a view."""
    only = ("--view", view) if view else ()
    assert watch(site, "--slow-after", "0.1", "--for", "10m", *only) == (0, "")
