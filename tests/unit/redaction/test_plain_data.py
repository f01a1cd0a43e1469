"""Any value of an application becomes plain data, and none of its code runs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import ssl
import zoneinfo
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.event.formats import json_line, logfmt
from slowhound.redaction import exceptions, plain_data
from slowhound.redaction.plain_data import as_int, as_text, exception_text, plain, plain_fields
from slowhound.watch.safe_repr import Printer
from tests.harness import hostile

# Functions that make a value: hypothesis itself reads those that it draws.
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
        inner.map(lambda make: lambda: hostile.Unprintable(make())),
    )


MAKERS = st.recursive(LEAVES, around, max_leaves=30)


def test_what_cannot_be_shown_costs_itself_only() -> None:
    """Python refuses to write out a number with so many digits; the values beside it are shown."""
    odd = range(10**5000)
    assert plain({"a": 1, "odd": odd, "in": [2, odd]}) == {
        "a": 1,
        "odd": "<range>",
        "in": [2, "<range>"],
    }


def check_plain(value: Any, depth: int = plain_data.PLAIN_DEPTH) -> int:
    """Checks that all is plain data of limited size; returns the number of values."""
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
    """It is limited in size and depth, never fails, and runs no code of the application."""
    value = make()
    hostile.called.clear()
    found = plain(value)
    assert check_plain(found) <= 2 * plain_data.ALL_MEMBERS_LIMIT
    assert type(as_text(value)) is str
    assert type(as_int(value)) in (int, type(None))
    assert hostile.called == []


@given(MAKERS)
def test_both_formats_take_any_value(make: Maker) -> None:
    """As the field of an event it is one line, which can be read back."""
    value = make()
    hostile.called.clear()
    event = {"event_type": "request", "app_value": plain(value)}
    assert json.loads(json_line(event))["event_type"] == "request"
    assert logfmt(event).startswith('event_type="request" app_value="')
    assert hostile.called == []


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_each_hostile_value_by_itself(number: int) -> None:
    """It is also tried as a key, as an argument of an exception, and inside a container."""
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
        (hostile.Unprintable("why"), "why"),
        (hostile.Unprintable(), None),
        (ValueError([dict]), "[<class 'dict'>]"),
        (ssl.SSLError(136, "[X509] no certificate"), "[X509] no certificate"),
        (ssl.SSLCertVerificationError(1, "it expired"), "it expired"),
        (ExceptionGroup("two", [ValueError("a"), KeyError("b")]), "two (2 sub-exceptions)"),
    ],
)
def test_exception_has_the_text_that_it_has_elsewhere(exc: Exception, text: str | None) -> None:
    """Unless only the application's code could make the text."""
    assert exception_text(exc) == text


class Basket:
    def total(self) -> None: ...


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Basket, f"<type {__name__}.Basket>"),
        (hostile.Color, "<EnumType tests.harness.hostile.Color>"),
        (len, "<builtin_function_or_method len>"),
        (exception_text, "<function exception_text>"),
        (Basket().total, "<method Basket.total>"),
    ],
)
def test_class_or_function_is_known_by_its_name(value: Any, text: str) -> None:
    """Also a class with a metaclass, whose code is not called."""
    assert plain(value) == text
    assert plain([value]) == [text]


def test_class_that_a_library_may_call_is_no_data() -> None:
    """Python only shows a class; a library's code may call it."""
    assert exceptions.is_harmless(([Basket],), classes=True)
    assert not exceptions.is_harmless(([Basket],))
    assert not exceptions.is_harmless((hostile.Color,), classes=True)


@dataclasses.dataclass
class Order:
    registry: ClassVar[dict[str, int]] = {}
    limit: dataclasses.InitVar[int] = 5
    number: int = 7
    state: str = dataclasses.field(default="new", init=False)


class Kind(type):
    """A metaclass."""


@dataclasses.dataclass(slots=True)
class Slim(metaclass=Kind):
    number: int = 7
    made: str = dataclasses.field(init=False)
    registry: ClassVar[int] = 1


def test_fields_of_a_data_class_are_those_of_its_instances() -> None:
    """They are those of ``asdict``; one that was never set is missing."""
    assert plain(Order()) == {"number": 7, "state": "new"}
    assert plain(Slim()) == {"number": 7, "made": "<ellipsis>"}


def refusing(base: type, *arguments: Any, **more: Any) -> Any:
    """A value of a subclass whose methods all raise; the base's own makes it."""
    names = {name for name in vars(base) if name not in hostile.NOT_MINE} | {"year", "tzinfo"}
    methods = {name: hostile._refuses(name) for name in names}
    return base.__new__(type("Mine", (base,), methods), *arguments, **more)


class Region(zoneinfo.ZoneInfo):
    """Like pendulum's zones."""

    utcoffset = hostile._refuses("utcoffset")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: refusing(dt.date, 2026, 1, 2), "2026-01-02"),
        (lambda: refusing(dt.datetime, 2026, 1, 2, 3), "2026-01-02 03:00:00"),
        (
            lambda: refusing(dt.datetime, 2026, 1, 2, tzinfo=dt.UTC),
            "2026-01-02 00:00:00+00:00",
        ),
        (
            lambda: refusing(dt.datetime, 2026, 10, 25, 2, fold=1, tzinfo=Region("Europe/Berlin")),
            "2026-10-25 02:00:00+01:00",
        ),
        (
            lambda: refusing(dt.datetime, 2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
            "2026-07-01 00:00:00+02:00",
        ),
        (lambda: refusing(dt.datetime, 2026, 1, 2, tzinfo=hostile.Zone()), "<Mine>"),
        (lambda: refusing(dt.time, 1, 2, 3, 4), "01:02:03.000004"),
        (lambda: refusing(dt.timedelta, 1, 2), "1 day, 0:00:02"),
        (lambda: refusing(decimal.Decimal, "1.50"), "1.50"),
    ],
)
def test_value_of_a_subclass_is_read_by_the_type_that_keeps_it(make: Maker, text: str) -> None:
    """No code of the subclass runs."""
    value = make()
    hostile.called.clear()
    assert plain(value) == text
    assert hostile.called == []


def test_local_variable_of_a_subclass_has_its_value() -> None:
    """It is shown behind its class."""
    price = refusing(decimal.Decimal, "1.50")
    assert Printer(frozenset()).named("price", price) == f"<{__name__}.Mine 1.50>"


def test_numbers_of_numpy_are_numbers() -> None:
    """Its floats of 64 bits are Python's anyway."""
    values = [np.int64(5), np.float32(0.5), np.float64(0.5), np.bool_(1)]
    found = plain(values)
    assert found == [5, 0.5, 0.5, True]
    assert [type(each) for each in found] == [int, float, float, bool]


def test_json_of_what_is_plain_is_the_same() -> None:
    """Plain data are not changed."""
    value = {"a": [1, 2.5, None, True, "x", {"b": {"c": 1}}], "n": -(2**63)}
    assert plain(value) == value


@pytest.mark.parametrize(
    ("value", "number"),
    [("200", 200), (b"7", 7), (404, 404), ("x", None), ("", None), (2**70, None)],
)
def test_ints_are_read_from_digits(value: Any, number: int | None) -> None:
    """A status or a length, of whatever type a server or an application gives."""
    assert as_int(value) == number


def characters(value: Any) -> int:
    """The number of characters of all texts in it."""
    if isinstance(value, dict):
        return sum(characters(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return sum(map(characters, value))
    return len(value) if isinstance(value, str) else 0


LONG = "x" * 9_000
LARGE: dict[str, Any] = {
    "rows": [{"name": "a", "note": LONG} for _ in range(200)],
    "lists": {str(number): [LONG] * 199 for number in range(10)},
    "keys": {f"{LONG}{number}": number for number in range(200)},
    "exceptions": [ValueError(LONG) for _ in range(200)],
    "bytes": [LONG.encode()] * 200,
}


@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE)
def test_texts_of_a_value_are_bounded_together(value: Any) -> None:
    """All of it is searched for secrets while the request waits: 20 MB took seconds."""
    left_out = plain_data.ALL_MEMBERS_LIMIT * len(plain_data.LEFT_OUT)
    assert 18_000 < characters(plain(value)) <= plain_data.VALUE_LIMIT + left_out


def test_texts_of_an_event_are_bounded_together() -> None:
    """The first ones are whole; a number is no text, and stays."""
    found = plain_fields({f"rows{n}": ["x" * 9_000, n] for n in range(50)} | {"text": LONG, "n": 7})
    assert found["rows1"] == ["x" * 9_000, 1]
    assert (found["text"], found["n"]) == (plain_data.LEFT_OUT, 7)
    assert characters(found) < plain_data.EVENT_LIMIT + 1_000


def test_value_of_a_key_that_was_cut_is_not_shown() -> None:
    """Whether such a key is the name of a secret is not known."""
    found = plain({**{str(n): "x" * 9_998 for n in range(2)}, "a_long_name_of_a_pin": 1234})
    assert 1234 not in found.values()
    assert set(found) == {"0", "1", "a_..."}
