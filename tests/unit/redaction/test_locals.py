"""Local variables are shown in a report without secrets, and without running any code."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import decimal
import enum
import pathlib
import sys
import threading
import tracemalloc
import uuid
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import HttpRequest, QueryDict
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from hypothesis import given

from slowhound.redaction.mask import MASK
from slowhound.redaction.plain_data import object_text, plain
from slowhound.watch.locals import MORE_THAN_FITS, SHOWN_VARIABLES, locals_of
from slowhound.watch.safe_repr import SHOWN_TEXT, SHOWN_VALUE, Printer
from tests.harness import hostile
from tests.unit.redaction.test_plain_data import MAKERS

Point = namedtuple("Point", "x password")  # noqa: PYI024  the untyped kind is meant


class Colour(enum.Enum):
    RED = 1


@dataclass
class Account:
    """A data class with a secret, one hidden from its repr, and a circle."""

    name: str
    password: str = "abc"
    hidden: str = field(default="abc", repr=False)
    parent: Any = None


@dataclass(slots=True)
class Slotted:
    note: str
    api_key: str = "abc"


class Hostile:
    """Any code of it that is called raises this."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    def _fails(self, *_: object) -> Any:
        raise AssertionError("was run")

    __repr__ = __str__ = __eq__ = __lt__ = __len__ = __iter__ = __format__ = _fails
    __class__ = property(_fails)  # type: ignore[assignment]

    def __hash__(self) -> int:
        return 7


class Meta(type):
    """A metaclass with code of its own."""

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("was run")

    __hash__ = None  # type: ignore[assignment]


class OfMeta(metaclass=Meta):
    pass


class Name(str):
    """A str subclass of the application, used as a name."""

    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("was run")

    def __format__(self, spec: str) -> str:
        raise AssertionError("was run")


class Dict(dict[str, Any]):
    """A dict subclass whose items come from its own code."""

    def items(self) -> Any:
        raise AssertionError("was run")

    __iter__ = keys = values = __repr__ = items  # type: ignore[assignment]


class Proxied:
    """An object that makes its own ``__dict__``, like a proxy."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise AssertionError("was run")


class Meta(type):
    """A metaclass with code of its own."""

    @property
    def __module__(cls) -> Any:  # type: ignore[override]
        raise AssertionError("was run")


def shown(value: Any, *hidden: str) -> str:
    """A variable with a harmless name."""
    return Printer(frozenset(hidden)).named("x", value)


SHOWN: list[tuple[Any, str | None]] = [
    (1, "1"),
    (None, "None"),
    ("it's", '"it\'s"'),
    (b"ab\xff", "b'ab\\xff'"),
    (bytearray(b"ab"), "bytearray(b'ab')"),
    ([1, (2,), {3}, frozenset([4])], "[1, (2,), {3}, frozenset({4})]"),
    (deque([1, 2]), "deque([1, 2])"),
    ({"a": 1, 2: None}, "{'a': 1, 2: None}"),
    (OrderedDict(a=1), "{'a': 1}"),
    (defaultdict(list, a=[1]), "{'a': [1]}"),
    (list(range(12)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]"),
    ([[[[[1]]]]], "[[[[...]]]]"),
    (2**600, "<int of 601 bits>"),
    (decimal.Decimal("9.90"), "Decimal('9.90')"),
    (dt.date(2026, 11, 22), "datetime.date(2026, 11, 22)"),
    (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), None),
    (uuid.UUID(int=1), "UUID('00000000-0000-0000-0000-000000000001')"),
    (Colour.RED, f"<{__name__}.Colour.RED>"),
    (SimpleNamespace(a=1, token="abc"), f"types.SimpleNamespace(a=1, token={MASK})"),
    (Point(1, "abc"), f"{__name__}.Point(x=1, password={MASK})"),
    (Account("ada"), f"{__name__}.Account(name='ada', password={MASK}, parent=None)"),
    (Slotted("n"), f"{__name__}.Slotted(note='n', api_key={MASK})"),
    (SimpleLazyObject(list), "<django.utils.functional.SimpleLazyObject object>"),
    (QueryDict("a=1"), "<django.http.request.QueryDict object>"),
    (Dict(a=1), f"<{__name__}.Dict object>"),
    (Proxied(), f"<{__name__}.Proxied object>"),
    (Hostile(), f"<{__name__}.Hostile object>"),
    (OfMeta(), f"<{__name__}.OfMeta object>"),
    ([OfMeta()], f"[<{__name__}.OfMeta object>]"),
    (SimpleNamespace(**{"a": 1, Name("k"): 2}), "types.SimpleNamespace(a=1)"),
    (range(1, 9, 2), "range(1, 9, 2)"),
    (range(10**5000), "<builtins.range object>"),
    (object.__new__(uuid.UUID), "<uuid.UUID object>"),
]


@pytest.mark.parametrize(("value", "text"), SHOWN, ids=range(len(SHOWN)))
def test_value_is_shown_without_running_code(value: Any, text: str | None) -> None:
    """Built-in values, data classes and named tuples are shown, of any other object the class."""
    assert shown(value) == (repr(value) if text is None else text)


@given(MAKERS)
def test_any_value_is_shown_without_running_code(make: Callable[[], Any]) -> None:
    """A value that fails when it is read hides only itself, and not its frame."""
    value = make()
    hostile.called.clear()
    assert len(shown(value)) < 10 * SHOWN_VALUE
    before, after = 1, 2
    variables = dict(locals_of(sys._getframe(), value)[-1][1])
    assert (variables["before"], variables["after"]) == ("1", "2")
    assert (before, after) == (1, 2)
    assert hostile.called == []


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_each_hostile_value_is_shown(number: int) -> None:
    """It is shown alone, as a key and a field, in a pair, and as an attribute."""
    hostile.called.clear()
    value = hostile.MAKERS[number]()
    account = Account("ada", parent=value)
    for each in (value, [value], ("name", value), {"a": value}, Point(value, value), account):
        assert type(shown(each)) is str
    assert hostile.called == []


def test_variable_that_cannot_be_shown_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """One ``range`` once removed all the variables of a report."""

    def fails(self: Printer, value: Any, depth: int) -> str:
        if type(value) is range:
            raise ValueError("too many digits")
        return show(self, value, depth)

    show = Printer._show
    monkeypatch.setattr(Printer, "_show", fails)
    monkeypatch.setattr("slowhound.system.guard.loud", False)
    first, numbers, last = 1, range(3), 2
    variables = dict(locals_of(sys._getframe(), None)[-1][1])
    assert (variables["first"], variables["last"]) == ("1", "2")
    assert variables["numbers"] == "<builtins.range object>"
    assert (first, numbers, last) == (1, range(3), 2)


class Odd(str):
    """A name with an ``__eq__`` of its own."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        hostile.called.append("__eq__")
        return True


def test_parts_of_values_of_the_standard_library_are_not_called() -> None:
    """A path made of texts, a UUID of a number, a model and an enum with names of a class."""
    text, number = hostile.of(str, "x"), hostile.of(int, 5)
    path = object.__new__(pathlib.PurePosixPath)
    for name in ("_raw_paths", "_parts"):
        with contextlib.suppress(AttributeError):
            object.__setattr__(path, name, [text])
    of_number = object.__new__(uuid.UUID)
    object.__setattr__(of_number, "int", number)
    named = object.__new__(Account)
    named.__dict__[Odd("name")] = named.__dict__[Odd("password")] = 1
    hostile.called.clear()
    assert shown(pathlib.PurePosixPath("/srv/shop")) == "PurePosixPath('/srv/shop')"
    assert shown(path) == f"<{type(path).__module__}.PurePosixPath object>"
    assert shown(of_number) == "<uuid.UUID object>"
    assert "name=Ellipsis" in shown(named)
    for each in (path, of_number, named):
        plain(each)
    assert hostile.called == []


KEYS: list[tuple[Any, str]] = [
    (7, " pk=7"),
    ("a-b", " pk='a-b'"),
    ("token=abcdefgh", f" pk='token={MASK}'"),
    (10**5000, " pk='<int of 16610 bits>'"),
    (uuid.UUID(int=1), " pk=UUID('00000000-0000-0000-0000-000000000001')"),
    (object.__new__(uuid.UUID), " object"),
    (hostile.of(int, 7), " object"),
    (None, " object"),
]


@pytest.mark.parametrize(("key", "shown_as"), KEYS, ids=range(len(KEYS)))
def test_key_of_a_model_is_shown(key: Any, shown_as: str) -> None:
    """It is shown if it is of one of the usual types."""

    class Keyed(Model):
        class Meta:
            app_label = "redact_locals"

    keyed = object.__new__(Keyed)
    keyed.__dict__["id"] = key
    apps.all_models.pop("redact_locals")
    hostile.called.clear()
    assert shown(keyed).endswith(f"Keyed{shown_as}>")
    assert plain(keyed) == object_text(keyed)
    assert hostile.called == []


def test_class_that_makes_its_own_name_is_not_called() -> None:
    """A metaclass can make the name of a class a function."""
    assert shown(Meta("Odd", (), {})()) == f"<{__name__}.Odd object>"


def test_time_with_a_zone_of_the_application_is_not_called() -> None:
    """The repr of a time calls its zone, which may be of any class."""

    class Zone(dt.tzinfo):
        def __repr__(self) -> str:
            raise AssertionError("was run")

        utcoffset = tzname = dst = __repr__  # type: ignore[assignment]

    assert shown(dt.datetime(2026, 1, 2, tzinfo=Zone())) == "<datetime.datetime object>"


@pytest.mark.parametrize(
    "value",
    [
        {"password": "abc", b"cookie": "abc", "n": {"apiToken": "abc"}},
        [("password", "abc"), (b"authorization", b"abc"), ["secret", "abc"]],
        {"name": "password", "value": "abc"},
        {"QUERY_STRING": "a=1&tok%65n=abc", "RAW_URI": "/x?token=abc"},
        "token=abc",
        b"Authorization: Bearer abc",
        ["https://u:abc@h"],
        {"note": "{'password': 'abc'}"},
        Point(1, "abc"),
        Account("password=abc", "abc", "abc", {"secret": "abc"}),
        {"pet": "abc"},
    ],
    ids=str,
)
def test_secrets_in_values_are_masked(value: Any) -> None:
    """They are in keys of any kind, pairs, forms, texts, bytes and fields."""
    text = shown(value, "pet")
    assert "abc" not in text
    assert MASK in text


def test_huge_values_are_cut_and_not_copied() -> None:
    """What is shown is short, however large or deep the value is."""
    circle: list[Any] = []
    circle.append(circle)
    wide: Any = "leaf"
    for _ in range(6):
        wide = [wide] * 1000
    account = Account("a" * 10**8)
    account.parent = account
    numbers = range(10**6)
    huge: list[Any] = ["x" * 10**8, b"x" * 10**8, bytearray(10**8)]
    huge += [[*numbers], {*numbers}, dict.fromkeys(numbers)]
    key = "token_" * 10**6  # as in a client's JSON, or as the beginning of a pair
    huge += [{key: 1}, (key, 1), [f"-{key}", "x"], {"name": key, "value": 1}]
    tracemalloc.start()
    try:
        for value in huge:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            assert len(shown(value)) < 5 * SHOWN_TEXT
            assert tracemalloc.get_traced_memory()[1] - before < 100_000
    finally:
        tracemalloc.stop()
    for value in (circle, wide, account, ["y" * 1000] * 1000):
        assert len(shown(value)) < SHOWN_VALUE + 10 * SHOWN_TEXT


def frame_in(function: Callable[[Callable[[], None]], Any]) -> FrameType:
    """The innermost frame of ``function``, which waits for its argument in a thread."""
    gate, here = threading.Event(), threading.Event()

    def wait() -> None:
        here.set()
        gate.wait(30)

    thread = threading.Thread(target=function, args=(wait,))
    thread.start()
    assert here.wait(10)
    frame = sys._current_frames()[thread.ident or 0]
    frames.append((gate, thread))
    return frame


frames: list[tuple[threading.Event, threading.Thread]] = []


@pytest.fixture(autouse=True)
def _let_go() -> Any:
    yield
    while frames:
        gate, thread = frames.pop()
        gate.set()
        thread.join()


def variables(frame: FrameType, request: Any = None) -> dict[str, dict[str, str]]:
    """The shown variables of each function."""
    return {function: dict(names) for function, names in locals_of(frame, request)}


def test_declared_variables_are_masked_in_what_is_called_too() -> None:
    """Names of ``sensitive_variables`` are masked there and in all that it calls."""

    @sensitive_variables("pet")
    def outer(wait: Callable[[], None]) -> None:
        pet = "abc"
        seen = "shown"
        inner(wait, pet, seen)

    @sensitive_variables("colour")
    def inner(wait: Callable[[], None], pet: str, colour: str) -> None:
        other = 1
        wait()
        assert pet
        assert other
        assert colour

    found = variables(frame_in(outer))
    assert found["outer"]["pet"] == MASK
    assert found["outer"]["seen"] == "'shown'"
    assert (found["inner"]["pet"], found["inner"]["colour"]) == (MASK, MASK)
    assert found["inner"]["other"] == "1"


def test_all_variables_are_masked_when_none_is_named() -> None:
    """``sensitive_variables()`` hides everything, also in what it calls."""

    @sensitive_variables()
    def outer(wait: Callable[[], None]) -> None:
        harmless = "abc"
        called(wait)
        assert harmless

    def called(wait: Callable[[], None]) -> None:
        below = "abc"
        wait()
        assert below

    found = variables(frame_in(outer))
    assert set(found["outer"].values()) == set(found["called"].values()) == {MASK}


@pytest.mark.parametrize(("names", "hidden"), [(("pet",), {"pet"}), ((), {"pet", "seen", "wait"})])
def test_declared_variables_of_coroutines_are_masked(names: tuple[str], hidden: set[str]) -> None:
    """A coroutine has no caller's frame: Django keeps its names elsewhere."""

    @sensitive_variables(*names)
    async def coroutine(wait: Callable[[], None]) -> None:
        pet = "abc"
        seen = "shown"
        wait()
        assert pet
        assert seen

    found = variables(frame_in(lambda wait: asyncio.run(coroutine(wait))))["coroutine"]
    assert {name for name, value in found.items() if value == MASK} == hidden


def test_suspended_coroutine_is_masked() -> None:
    """The frame of a waiting coroutine has no caller."""

    @sensitive_variables("pet")
    async def coroutine() -> None:
        pet = "abc"
        seen = "shown"
        await asyncio.sleep(0)
        assert pet
        assert seen

    waiting = coroutine()
    waiting.send(None)
    assert waiting.cr_frame is not None
    assert variables(waiting.cr_frame)["coroutine"] == {"pet": MASK, "seen": "'shown'"}
    waiting.close()


def view(request: HttpRequest, wait: Callable[[], None]) -> None:
    form = request.POST.dict()
    pet = form["pet"]
    seen = form["seen"]
    wait()
    assert pet
    assert seen


@pytest.mark.parametrize(("names", "seen"), [(("pet",), "'shown'"), ((), MASK)])
def test_declared_parameters_are_masked(names: tuple[str], seen: str) -> None:
    """The names of ``sensitive_post_parameters`` are masked as variables and as keys."""
    request = RequestFactory().post("/", {"pet": "abc", "seen": "shown"})
    decorated = sensitive_post_parameters(*names)(view)
    found = variables(frame_in(lambda wait: decorated(request, wait)), request)["view"]
    assert found["pet"] == MASK
    assert found["seen"] == seen
    assert found["form"] == f"{{'pet': '{MASK}', 'seen': {seen if names else repr(MASK)}}}"


def test_parameters_that_are_not_parsed_are_left_alone() -> None:
    """To know them, the hound would have to read the request's body."""
    request = SimpleNamespace(sensitive_post_parameters="__ALL__")
    assert locals_of(sys._getframe(), request)


def test_body_of_a_class_with_a_mapping_of_its_own_is_left_alone() -> None:
    """The application's code finds its names."""
    inside: list[FrameType] = []

    class Names(dict[str, Any]):
        def items(self) -> Any:
            raise AssertionError("was run")

    class Prepared(type):
        @classmethod
        def __prepare__(cls, *_: object) -> Names:
            return Names()

    class Body(metaclass=Prepared):
        inside.append(sys._getframe())
        assert dict(locals_of(inside[0], None))["Body"] == []


def test_name_that_is_no_plain_text_is_left_out() -> None:
    """``exec`` takes any keys as names; their text would come from the application's code."""
    inside: list[FrameType] = []
    names: dict[Any, Any] = {"frame": sys._getframe, "inside": inside, Name("k"): 1, 7: 2}
    exec(compile("x = 1; inside.append(frame())", "/srv/shop.py", "exec"), names)
    shown_names = [name for name, _ in dict(locals_of(inside[0], None))["<module>"]]
    assert "x" in shown_names
    assert all(type(name) is str and name != "k" for name in shown_names)


def test_function_with_the_name_of_djangos_wrapper_is_not_called() -> None:
    """Nor is a request that declares names; what is not known is hidden."""
    inside: list[FrameType] = []

    def sensitive_variables_wrapper(variables: object) -> str:
        inside.append(sys._getframe())
        return str(sensitive_variables_wrapper.__name__)

    sensitive_variables_wrapper(Hostile())
    found = dict(locals_of(inside[0], Hostile()))["sensitive_variables_wrapper"]
    assert {value for _, value in found} == {MASK}


def test_model_of_a_metaclass_of_its_own_is_not_called() -> None:
    """No code of the class or the object decides how they are read."""
    armed = False

    class Kind(ModelBase):
        def __getattribute__(self, name: str) -> Any:
            if armed:
                raise AssertionError(f"asked for {name}")
            return super().__getattribute__(name)

    class Thing(Model, metaclass=Kind):
        class Meta:
            app_label = "redact_locals"

        def __getattribute__(self, name: str) -> Any:
            if armed:
                raise AssertionError(f"asked for {name}")
            return super().__getattribute__(name)

    thing = Thing(pk=5)
    armed = True
    text = shown(thing)
    armed = False
    apps.all_models.pop("redact_locals")
    assert text.endswith("Thing pk=5>")


def test_all_variables_together_are_bounded() -> None:
    """Fifty frames with fifty large variables are not a report of megabytes."""

    def deeper(wait: Callable[[], None], depth: int) -> None:
        first = second = third = fourth = ["z" * 190] * 10
        if depth:
            deeper(wait, depth - 1)
        else:
            wait()
        assert first is second is third is fourth

    found = locals_of(frame_in(lambda wait: deeper(wait, 60)), None)
    size = sum(len(value) for _, names in found for _, value in names)
    assert SHOWN_VARIABLES / 2 < size < SHOWN_VARIABLES * 2
    assert MORE_THAN_FITS in str(found)
