"""Sites with gevent workers, under the Gunicorn of this environment; the matrix runs others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gunicorns import VERSIONS
from tests.harness.launch import Launcher
from tests.harness.site import Site

URLS = {"ROOT_URLCONF": "tests.gevent.urls"}
Greenlets = Callable[..., Site]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these start servers."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("server")
            item.add_marker("slow")


@pytest.fixture(scope="session")
def gunicorn() -> str:
    """The environment's own; both would take three minutes more."""
    return VERSIONS[0]


@pytest.fixture
def greenlets(serve: Launcher, gunicorn: str) -> Greenlets:
    """Start a site with a gevent worker; the arguments are the fields of Setup."""

    def start(**wishes: Any) -> Site:
        return serve(**{"gunicorn": gunicorn, "worker": "gevent", "django": URLS, **wishes})

    return start


@pytest.fixture(scope="module")
def shared(serve_module: Launcher, gunicorn: str) -> Site:
    """One that the tests of a module share; its requests are soon slow."""
    return serve_module(
        gunicorn=gunicorn,
        worker="gevent",
        django=URLS,
        settings={"SLOW_AFTER": {"spawns": 60, "*": 0.3}, "LOCALS": True},
    )
