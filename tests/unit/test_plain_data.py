"""The door: whatever an application hands over becomes plain data, and none of its code runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound import plain_data
from slowhound.formats import json_line, logfmt
from slowhound.plain_data import as_int, as_text, exception_text, plain
from tests.harness import hostile

# What makes a value: hypothesis itself looks at those that it draws.
Maker = Callable[[], Any]
BUILT_IN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()
).map(lambda value: lambda: value)
LEAVES = st.one_of(BUILT_IN, st.sampled_from(hostile.MAKERS))


def around(inner: st.SearchStrategy[Maker]) -> st.SearchStrategy[Maker]:
    """Containers of every kind."""
    lists = st.lists(inner, max_size=5)
    dicts = st.dictionaries(st.text(max_size=5), inner, max_size=5)
    return st.one_of(
        lists.map(lambda makers: lambda: [make() for make in makers]),
        lists.map(lambda makers: lambda: tuple(make() for make in makers)),
        lists.map(lambda makers: lambda: hostile.filled(list, [make() for make in makers])),
        dicts.map(lambda makers: lambda: {key: make() for key, make in makers.items()}),
        dicts.map(
            lambda makers: (
                lambda: hostile.filled(dict, {key: make() for key, make in makers.items()})
            )
        ),
        inner.map(lambda make: lambda: hostile.Data(make())),
        inner.map(lambda make: lambda: ValueError(make())),
        inner.map(lambda make: lambda: hostile.SaysNothing(make())),
    )


MAKERS = st.recursive(LEAVES, around, max_leaves=30)


def check_plain(value: Any, depth: int = plain_data.DEPTH) -> int:
    """Nothing but plain data, of a bounded size; how many values there are."""
    kind = type(value)
    if kind is dict:
        assert depth > 0
        assert all(type(key) is str for key in value)
        return 1 + sum(check_plain(each, depth - 1) for each in value.values())
    if kind is list:
        assert depth > 0
        return 1 + sum(check_plain(each, depth - 1) for each in value)
    assert kind in (type(None), bool, int, float, str)
    if kind is int:
        assert -(2**63) <= value < 2**64
    if kind is str:
        assert len(value) <= plain_data.TEXT_LIMIT + len(plain_data.LEFT_OUT)
    return 1


@given(MAKERS)
def test_any_value_becomes_plain_data(make: Maker) -> None:
    """It is bounded in size and depth, cannot fail, and nothing of the application runs."""
    value = make()
    hostile.called.clear()
    found = plain(value)
    assert check_plain(found) <= 2 * plain_data.MOST
    assert type(as_text(value)) is str
    assert type(as_int(value)) in (int, type(None))
    assert hostile.called == []


@given(MAKERS)
def test_both_formats_take_any_value(make: Maker) -> None:
    """As the field of an event: one line each, that can be read back."""
    value = make()
    hostile.called.clear()
    event = {"event_type": "request", "app_value": value}
    assert json.loads(json_line(event))["event_type"] == "request"
    assert logfmt(event).startswith('event_type="request" app_value="')
    assert hostile.called == []
    msgspec.json.encode(plain(value))


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_each_hostile_value_by_itself(number: int) -> None:
    """Also as a key, as an argument of an exception, and inside a container."""
    hostile.called.clear()
    for value in (hostile.MAKERS[number](), [hostile.MAKERS[number]()]):
        check_plain(plain({"a": value}))
        assert type(exception_text(ValueError(value)) or "") is str
    assert hostile.called == []


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (ValueError("why"), "why"),
        (ValueError(), ""),
        (KeyError("k"), "'k'"),
        (ValueError("a", 1), "('a', 1)"),
        (FileNotFoundError(2, "No such file", "x"), "[Errno 2] No such file: 'x'"),
        (hostile.SaysNothing("why"), "why"),
        (hostile.SaysNothing(), None),
        (ExceptionGroup("two", [ValueError("a"), KeyError("b")]), "two (2 sub-exceptions)"),
    ],
)
def test_exception_says_what_it_says_elsewhere(exc: Exception, text: str | None) -> None:
    """Unless only code of the application's could tell."""
    assert exception_text(exc) == text


def test_json_of_what_is_plain_is_the_same() -> None:
    """The door changes nothing that needs no change."""
    value = {"a": [1, 2.5, None, True, "x", {"b": {"c": 1}}], "n": -(2**63)}
    assert plain(value) == value


@pytest.mark.parametrize(
    ("value", "number"),
    [("200", 200), (b"7", 7), (404, 404), ("x", None), ("", None), (2**70, None)],
)
def test_ints_are_read_from_digits(value: Any, number: int | None) -> None:
    """A status or a length, of whatever type a server or an application gives."""
    assert as_int(value) == number
