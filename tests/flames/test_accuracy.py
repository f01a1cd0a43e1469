"""How true a graph is, where the truth is known: generous bounds, for machines that are busy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bench import accuracy
from bench.samplers import inclusive

pytestmark = [pytest.mark.slow]
# Points. With fifteen other processes beside it on two CPUs none was further off than 5.3; one
# that counts its samples, where one call holds the GIL, is wrong by 50.
GENEROUS = 40.0


def measurements(name: str) -> Iterator[dict[str, Any]]:
    """Three: a machine without a CPU for the sampler makes one worse, by 47.8 once; none better."""
    return (accuracy.measure(name, "on demand", 1.0) for _ in range(3))


@pytest.mark.parametrize("name", ["mixed", "one long C call", "asyncio gather"])
def test_shares_are_near_the_truth(name: str) -> None:
    """Also where counting samples would be wrong by half, because one call holds the GIL."""
    assert any(accuracy.error(each) < GENEROUS for each in measurements(name))


def test_time_in_operators_is_blamed_on_nobody_else() -> None:
    """Its shares are near the truth, too; what runs next is innocent: its share does not grow."""

    def is_blamed(result: dict[str, Any]) -> bool:
        grown = result["found"].get("innocent", 0.0) - result["truth"]["innocent"]
        return accuracy.error(result) >= GENEROUS or grown >= GENEROUS / 100

    assert not all(is_blamed(each) for each in measurements("operators"))


def test_inclusive_shares_count_a_recursion_once() -> None:
    """A function that calls itself is on a stack, not sixty times on it."""
    assert inclusive([(["a", "b", "b"], 1.0), (["a"], 3.0)]) == {"a": 1.0, "b": 0.25}
    assert inclusive([]) == {}
