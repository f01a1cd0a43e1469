"""Runs `slowhound watch`, by which tests decide from when on a request is slow."""

from __future__ import annotations

from tests.harness.command import slowhound
from tests.harness.site import Site


def watch(site: Site, *arguments: str) -> tuple[int, str]:
    """Its exit code and its error output."""
    done = slowhound("watch", site.dir, *arguments)
    return done.returncode, done.stderr


def make_slow(site: Site, view: str = "") -> None:
    """From now on each request is slow, also one in flight; or only those of a view."""
    only = ("--view", view) if view else ()
    assert watch(site, "--slow-after", "0.1", "--for", "10m", *only) == (0, "")
