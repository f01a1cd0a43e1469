"""How true a graph is, where the truth is known: generous bounds, for machines that are busy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bench import accuracy
from bench.samplers import inclusive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
# Three times what `make bench` asks for, and three tries: other tests run beside this one.
GENEROUS, TRIES = 15.0, 3


def best(measure: Callable[[], dict[str, Any]]) -> float:
    """The smallest error of some tries."""
    found = []
    for _ in range(TRIES):
        found.append(accuracy.error(measure()))
        if found[-1] < GENEROUS:
            break
    return min(found)


@pytest.mark.parametrize("name", ["mixed", "one long C call", "operators", "asyncio gather"])
def test_shares_are_near_the_truth(name: str) -> None:
    """Also where counting samples would be wrong by half, because one call holds the GIL."""
    assert best(lambda: accuracy.measure(name, "on demand", 1.0)) < GENEROUS


def test_time_in_operators_is_blamed_on_nobody_else() -> None:
    """What runs next is innocent: its share does not grow."""
    shares = []
    for _ in range(TRIES):
        result = accuracy.measure("operators", "on demand", 1.0)
        shares.append(result["found"].get("innocent", 0.0) - result["truth"]["innocent"])
        if shares[-1] < GENEROUS / 100:
            break
    assert min(shares) < GENEROUS / 100


def test_inclusive_shares_count_a_recursion_once() -> None:
    """A function that calls itself is on a stack, not sixty times on it."""
    assert inclusive([(["a", "b", "b"], 1.0), (["a"], 3.0)]) == {"a": 1.0, "b": 0.25}
    assert inclusive([]) == {}
