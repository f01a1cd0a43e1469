"""Names, lines and kinds of frames; Django's own work as frames."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test.utils import override_settings
from django.utils.module_loading import import_string

from slowhound.core.observations import Moment
from slowhound.core.record import Record
from slowhound.flames.profile import Profile, ProfileFrame
from slowhound.flames.sampling import annotate as module
from slowhound.flames.sampling.annotate import Annotator
from slowhound.flames.sampling.attribution import Entry, Samples
from slowhound.flames.sampling.stack_keys import Key, key_of_stack
from slowhound.flames.sampling.symbolize import profile_of
from slowhound.frames.frames import Frame
from slowhound.runtime.code_objects import know

APP = ProfileFrame("view", "shop/views.py", 3)
LIBRARY = ProfileFrame("execute", "django/db/backends/utils.py", 9, "library")
HERE = "tests/unit/flames/sampling/test_annotate.py"
DJANGO = "django/utils/deprecation.py"


def names(stack: list[ProfileFrame]) -> list[str]:
    return [frame.name for frame in stack]


@pytest.fixture(autouse=True)
def _middleware() -> Iterator[None]:
    """Three of Django's, and one that is a function."""
    with override_settings(
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            f"{__name__}.timed",
            "django.middleware.common.CommonMiddleware",
            "no.such.Middleware",
        ]
    ):
        for each in settings.MIDDLEWARE[:-1]:
            import_string(each)  # as Django does when it begins to serve
        module._configured.cache_clear()
        yield
    module._configured.cache_clear()


def timed(get_response: Any) -> Any:
    def call(request: Any) -> Any:
        return get_response(request)

    return call


def test_query_stands_between_the_application_and_its_library() -> None:
    """Its shape only: values that an application wrote into its SQL are not shown."""
    found = Annotator(
        [Moment(1.0, 2.0, "sql", "SELECT 'secret' WHERE id = 4711")], concurrent=False
    )
    assert names(found.annotate([APP, LIBRARY], 2.0, None)) == [
        "view",
        "SELECT ? WHERE id = ?",
        "execute",
    ]
    assert found.annotate([APP, LIBRARY], 2.0, None)[1].kind == "sql"


@pytest.mark.parametrize("at", [0.9, 3.1])
def test_time_outside_of_a_query_is_not_attributed_to_it(at: float) -> None:
    """Neither before it began nor after it ended."""
    found = Annotator([Moment(1.0, 2.0, "sql", "SELECT 1")], concurrent=False)
    assert names(found.annotate([APP, LIBRARY], at, None)) == ["view", "execute"]


def test_query_of_a_template_stands_below_it() -> None:
    """The template is around it, in whichever order they ended."""
    moments = [Moment(1.2, 0.2, "sql", "SELECT 1"), Moment(1.0, 1.0, "template", "shop/list.html")]
    found = Annotator(moments, concurrent=False).annotate([APP, LIBRARY], 1.3, None)
    assert [(each.name, each.kind) for each in found[1:3]] == [
        ("shop/list.html", "template"),
        ("SELECT ?", "sql"),
    ]


def test_time_of_calls_side_by_side_is_attributed_to_none() -> None:
    """A task waits for several at once, and a stack may be in any of them."""
    moments = [Moment(1.0, 1.0, "http", "a.example"), Moment(1.1, 1.5, "http", "b.example")]
    assert names(Annotator(moments, concurrent=True).annotate([APP], 1.5, None)) == ["view"]
    assert "b.example" in names(Annotator(moments, concurrent=True).annotate([APP], 2.3, None))


def test_long_moment_is_found_behind_many_short_ones() -> None:
    """The template that began before a hundred queries is still around the last one."""
    moments = [Moment(0.0, 100.0, "template", "t.html")]
    moments += [Moment(each, 0.5, "cache", "get default") for each in range(1, 100)]
    found = Annotator(moments, concurrent=False)
    assert names(found.annotate([APP], 99.2, None)) == ["view", "t.html", "get default"]
    assert names(found.annotate([APP], 99.7, None)) == ["view", "t.html"]


def test_wait_is_the_innermost_frame() -> None:
    """It has the name of what the thread waits for."""
    last = Annotator([], concurrent=False).annotate([APP, LIBRARY], 1.0, "recv from 10.0.0.5:5432")[
        -1
    ]
    assert (last.name, last.kind) == ("waiting: recv from 10.0.0.5:5432", "wait")


def test_middleware_is_named_by_its_class() -> None:
    """Django's mixin calls all of them; their order tells which one a frame is."""
    mixin = ProfileFrame("MiddlewareMixin.__call__", DJANGO, 120, "library")
    function = ProfileFrame("timed.<locals>.call", HERE, 50)
    found = Annotator([], concurrent=False).annotate(
        [mixin, mixin, function, mixin, APP], 1.0, None
    )
    assert names(found) == [
        "SecurityMiddleware.__call__",
        "SessionMiddleware.__call__",
        "timed.<locals>.call",
        "CommonMiddleware.__call__",
        "view",
    ]
    assert [frame.kind for frame in found] == ["middleware"] * 4 + ["app"]


def test_hook_of_a_middleware_is_middleware() -> None:
    """Its frame has the name of its class already."""
    hook = ProfileFrame(
        "SessionMiddleware.process_request",
        "django/contrib/sessions/middleware.py",
        20,
        "library",
    )
    assert Annotator([], concurrent=False).annotate([hook], 1.0, None)[0].kind == "middleware"


class Shop:
    def view(self) -> Any:
        return sys._getframe()

    def other(self) -> Any:
        return sys._getframe()


def made(entries: list[Entry], record: Record | None = None) -> Profile:
    record = record or Record("GET", "/", time.monotonic())
    samples = Samples(0.0, 0.0, lambda _: None, lambda _: None, lambda _: 0.0)
    samples.entries, samples.last = entries, 10.0
    return profile_of(record, samples, 0.05, {"req_id": "1"}, 1.0)


def key_of(frame: Any) -> Key:
    return ((know(frame.f_code), frame.f_lasti),)


def test_frame_has_its_qualified_name_and_its_line_at_the_sample() -> None:
    """Not the line at which it ended."""
    frame = Shop().view()
    profile = made([Entry(1.0, 1.0, key_of(frame), "running")])
    line = Shop.view.__code__.co_firstlineno + 1
    assert profile.frames == [ProfileFrame("Shop.view", HERE, line, "app")]


def test_frame_of_a_library_is_marked_as_such() -> None:
    """So that a drawing can fold it."""
    code = json.loads.__code__
    (frame,) = made([Entry(1.0, 1.0, ((know(code), 0),), "running")]).frames
    assert (frame.name, frame.kind, frame.file) == ("loads", "library", "json/__init__.py")


def test_note_of_a_task_has_no_file() -> None:
    """There is none that could be opened."""
    stack = (Frame("<asyncio>", 0, "gather of 3, 2 pending; the first of them"),)
    (frame,) = made([Entry(1.0, 1.0, key_of_stack(stack), "waiting")]).frames
    assert (frame.kind, frame.file) == ("note", "")
