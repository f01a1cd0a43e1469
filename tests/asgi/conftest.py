"""One server of each kind, which all tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.harness.asgi_servers import BY_NAME, SERVERS, SLOW_AFTER, Asgi, AsgiLauncher
from tests.harness.site import Site

HERE = Path(__file__).parent
Start = Callable[[str], Site]
Test = TypeVar("Test", bound=Callable[..., None])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests start servers, too; what is for some of them is left out for the rest.

    Parametrised again, pytest would start the same servers once more for them.
    """
    items[:] = [item for item in items if is_wanted(item)]
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("server")
            item.add_marker("slow")


def only(*names: str) -> Callable[[Test], Test]:
    """For a test of some of the servers: there is none of it for the others."""
    assert set(names) <= set(BY_NAME)

    def mark(test: Test) -> Test:
        test.only = names  # type: ignore[attr-defined]
        return test

    return mark


def is_wanted(item: pytest.Item) -> bool:
    """Whether this server is one of those that its test is for."""
    names = getattr(getattr(item, "function", None), "only", None)
    return names is None or item.callspec.params["server"].name in names  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[AsgiLauncher]:
    starts = AsgiLauncher(tmp_path_factory.mktemp("asgi"), template)
    yield starts
    starts.cleanup()


@pytest.fixture(scope="session", params=SERVERS, ids=str)
def server(request: pytest.FixtureRequest) -> Asgi:
    """Each of the servers, one after the other."""
    found: Asgi = request.param
    return found


@pytest.fixture(scope="session")
def site(server: Asgi, tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Site]:
    """The site under it."""
    starts = AsgiLauncher(tmp_path_factory.mktemp("asgi"), template)
    yield starts.asgi(server, {"SLOW_AFTER": SLOW_AFTER})
    starts.cleanup()
    # AsgiLauncher.cleanup checks that nothing of the server is left.


@pytest.fixture
def fresh(tmp_path: Path, template: Path) -> Iterator[Start]:
    """A server of the test's own, by its name."""
    starts = AsgiLauncher(tmp_path, template)
    yield lambda name: starts.asgi(BY_NAME[name], {"SLOW_AFTER": SLOW_AFTER})
    starts.cleanup()
