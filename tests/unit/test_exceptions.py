"""Exceptions: of a group, what has gone wrong in it, and where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path

import slowhound
from slowhound.instrument.exception import LEAVES_LIMIT, fields_of, leaf_of
from slowhound.testing import capture_events

work: Callable[[], Any] = dict


def index(request: HttpRequest) -> HttpResponse:
    work()
    return HttpResponse("ok")


async def later(request: HttpRequest) -> HttpResponse:
    await work()
    return HttpResponse("ok")


urlpatterns = [path("", index), path("later/", later)]


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def event_of(does: Callable[[], Any], address: str = "/") -> dict[str, Any]:
    global work
    work = does
    with capture_events() as events:
        if address == "/":
            assert Client(raise_request_exception=False).get(address).status_code == 500
        else:
            asyncio.run(_get(address))
    return events[-1]


async def _get(address: str) -> None:
    client = AsyncClient(raise_request_exception=False)
    assert (await client.get(address)).status_code == 500


class Broken(Exception):
    """What has gone wrong."""


async def breaks(text: str) -> None:
    raise Broken(text)


async def waits() -> None:
    await asyncio.Event().wait()


async def in_a_group(*coroutines: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for each in coroutines:
            group.create_task(each)


def place(function: Any) -> str:
    code = function.__code__
    return f"tests/unit/test_exceptions.py:{code.co_firstlineno + 1}:{function.__name__}"


def test_exception_in_a_task_group_is_named() -> None:
    """The leaf exception and its place, and not "unhandled errors" at taskgroups.py."""
    event = event_of(lambda: in_a_group(waits(), breaks("first"), breaks("second")), "/later/")
    assert (event["exc_type"], event["exc_msg"], event["exc_group_size"]) == ("Broken", "first", 2)
    assert event["exc_loc"] == place(breaks)
    assert (event["exc_handled"], event["resp_outcome"]) == (False, "error")


def test_leaf_of_groups_in_each_other_is_named() -> None:
    """Of task groups in task groups the innermost exception."""
    event = event_of(lambda: in_a_group(in_a_group(in_a_group(breaks("deep"))), waits()), "/later/")
    assert (event["exc_type"], event["exc_msg"], event["exc_group_size"]) == ("Broken", "deep", 1)
    assert event["exc_loc"] == place(breaks)


def test_exception_that_is_no_group_has_no_size() -> None:
    """The field is there for groups only."""
    event = event_of(lambda: asyncio.run(breaks("alone")))
    assert event["exc_type"] == "Broken"
    assert "exc_group_size" not in event


def test_group_of_exceptions_that_were_never_raised() -> None:
    """The place is where the group was raised."""

    def raises() -> None:
        raise ExceptionGroup("both", [ValueError("one"), TypeError("two")])

    event = event_of(raises)
    assert (event["exc_type"], event["exc_msg"], event["exc_group_size"]) == (
        "ValueError",
        "one",
        2,
    )
    assert event["exc_cause_loc"] == place(raises)


def test_cancellation_is_not_what_went_wrong() -> None:
    """In a group with one, another exception is named."""
    group = BaseExceptionGroup("all", [asyncio.CancelledError(), Broken("it"), KeyboardInterrupt()])
    assert fields_of(group)["exc_msg"] == "it"
    only = BaseExceptionGroup("all", [asyncio.CancelledError("a"), GeneratorExit()])
    assert fields_of(only)["exc_type"] == "CancelledError"
    assert fields_of(only)["exc_group_size"] == 2


def test_template_of_a_leaf_is_named() -> None:
    """A leaf may have been raised in one."""

    def fails() -> None:
        raise Broken("in a template")

    def does() -> None:
        try:
            Template("\n{{ fails }}").render(Context({"fails": fails}))
        except Broken as exc:
            raise ExceptionGroup("of one", [exc]) from None

    assert event_of(does)["exc_template"].endswith(":2")


def test_survived_group_is_told_of_by_its_leaf() -> None:
    """Partial failures and tasks have the same fields."""

    @slowhound.on_error(return_value=None)
    def survives() -> None:
        raise ExceptionGroup("of one", [Broken("survived")])

    @slowhound.task
    def task() -> None:
        survives()
        raise ExceptionGroup("of one", [Broken("ended")])

    with capture_events() as events, pytest.raises(ExceptionGroup):
        task()
    assert [(event["exc_msg"], event["exc_group_size"]) for event in events] == [
        ("survived", 1),
        ("ended", 1),
    ]


def test_huge_group_is_counted_so_far() -> None:
    """Of a million exceptions, or of groups in each other, deeper than Python calls."""
    many: list[Exception] = [Broken(str(number)) for number in range(LEAVES_LIMIT + 10)]
    leaf, size = leaf_of(ExceptionGroup("many", many))
    assert (leaf, size) == (many[0], LEAVES_LIMIT)
    deep: Exception = many[0]
    for _ in range(5_000):
        deep = ExceptionGroup("deep", [deep])
    assert leaf_of(deep) == (many[0], 1)


def test_nothing_of_a_group_of_ones_own_is_called() -> None:
    """What is in a group is read where Python keeps it."""

    class Own(ExceptionGroup[Exception]):
        @property
        def exceptions(self) -> Any:
            raise AssertionError("called")

    assert leaf_of(Own("own", [many := Broken("it")])) == (many, 1)
