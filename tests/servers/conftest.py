"""Fixtures that several files of server tests share."""

from __future__ import annotations

import itertools

import pytest

from tests.harness.gil import SITES, SLOW_AFTER, wait_for_hounds
from tests.harness.launch import Launcher
from tests.harness.site import Site

_runs = itertools.count()


@pytest.fixture(scope="module")
def started(serve_module: Launcher) -> dict[str, Site]:
    """The sites that have been started so far."""
    return {}


@pytest.fixture
def gil_site(
    request: pytest.FixtureRequest, serve_module: Launcher, started: dict[str, Site]
) -> Site:
    """One of the sites with requests that hold the GIL, by name."""
    name: str = request.param
    if name not in started:
        # The first request must be slow because of its call, not of the import of the views.
        settings = {"SLOW_AFTER": SLOW_AFTER}
        started[name] = serve_module(settings=settings, warm=True, **SITES[name])
        wait_for_hounds(started[name])
    return started[name]


@pytest.fixture(scope="module")
def two_workers(serve_module: Launcher) -> Site:
    """A site with two gthread workers, each of which has its box."""
    site = serve_module(worker="gthread", workers=2)
    wait_for_hounds(site)
    return site


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, nor an earlier run of this one."""
    mine = "".join(each if each.isalnum() else "-" for each in request.node.name)
    return f"{mine}-{next(_runs)}"
