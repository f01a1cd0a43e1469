"""One ClickHouse for all tests of a module; each test has its own table in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.harness.clickhouse import clickhouse

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a ClickHouse."""
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as address:
        yield address


@pytest.fixture
def new_table(server: str) -> Callable[[], str]:
    """Makes the address of a table that does not exist yet."""
    return lambda: f"{server}/default?table=events_{next(_numbers)}"
