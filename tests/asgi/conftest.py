"""One server of each kind, which all tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import SERVER_TIMEOUT
from tests.harness.asgi_servers import BY_NAME, SERVERS, SLOW_AFTER, Asgi, AsgiLauncher
from tests.harness.site import Site

HERE = Path(__file__).parent
Start = Callable[[str], Site]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests start servers, too."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("server")
            item.add_marker("slow")
            item.add_marker(pytest.mark.timeout(SERVER_TIMEOUT))


def only(*names: str) -> pytest.MarkDecorator:
    """For a test of some of the servers."""
    found = [BY_NAME[name] for name in names]
    return pytest.mark.parametrize("server", found, ids=str, indirect=True, scope="session")


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
