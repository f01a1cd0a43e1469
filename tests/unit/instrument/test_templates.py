"""Each template that a view renders is counted, whatever renders it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

import django
import pytest
from asgiref.sync import sync_to_async
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import Context, Engine, Template, engines, loader
from django.template.backends.base import BaseEngine
from django.template.response import TemplateResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path
from jinja2 import DictLoader

from slowhound.core.record import Record
from slowhound.recorder import process
from slowhound.testing import capture_events

PAGE = "{% partialdef row %}{% include 'row.html' %}{% endpartialdef %}{% partial row %}"
TEMPLATES = {
    "page.html": "{% include 'row.html' %}{% include 'row.html' %}",
    "child.html": "{% extends 'page.html' %}",
    "row.html": "row",
    **(
        {"parts.html": PAGE + PAGE.partition("{% endpartialdef %}")[2]}
        if django.VERSION >= (6, 0)
        else {}
    ),
}
work: Callable[[HttpRequest], Any] = dict


def index(request: HttpRequest) -> HttpResponse:
    found = work(request)
    return found if isinstance(found, HttpResponse) else HttpResponse(found)


urlpatterns = [path("", index)]


def backend(name: str, **options: Any) -> dict[str, Any]:
    return {"BACKEND": name, "OPTIONS": options}


DJANGOS = backend(
    "django.template.backends.django.DjangoTemplates",
    loaders=[("django.template.loaders.locmem.Loader", TEMPLATES)],
)


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__, TEMPLATES=[DJANGOS]):
        yield
    process.stop()


def counted(does: Callable[[HttpRequest], Any], content: bytes = b"row") -> int:
    """How many templates this renders."""
    global work
    work = does
    with capture_events() as events:
        assert Client().get("/").content == content
    event = events[-1]
    assert (event.get("tmpl_time") is None) is (event.get("tmpl_count") is None)
    return event.get("tmpl_count", 0)


def moments(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the timeline gets."""
    found: list[str] = []
    monkeypatch.setattr(Record, "note", lambda self, start, took, kind, text: found.append(text))
    return found


DOORS: dict[str, Callable[[HttpRequest], Any]] = {
    "render": lambda request: render(request, "row.html"),
    "render_to_string": lambda request: loader.render_to_string("row.html"),
    "template of an engine": lambda request: engines["django"].from_string("row").render({}),
    "template": lambda request: Template("row").render(Context()),
    "engine": lambda request: Engine().from_string("row").render(Context()),
    "response": lambda request: TemplateResponse(request, "row.html"),
}


@pytest.mark.parametrize("door", DOORS)
def test_template_is_counted(door: str) -> None:
    """It is, by whichever method it is rendered."""
    assert counted(DOORS[door]) == 1


class Meets:
    """Is shown when three of them are being shown."""

    def __init__(self) -> None:
        self._all = threading.Barrier(3, timeout=60)

    def __str__(self) -> str:
        self._all.wait()
        return "row"


def in_threads(request: HttpRequest) -> str:
    """Three renderings at once, each in a copy of the context, as asgiref and frameworks do it."""
    template, shown = Template("{{ met }}{% include 'row.html' %}"), Context({"met": Meets()})

    def rendered(context: contextvars.Context) -> str:
        return context.run(template.render, shown.__copy__())

    with ThreadPoolExecutor(3) as pool:
        return "".join(pool.map(rendered, [contextvars.copy_context() for _ in range(3)]))


def in_tasks(request: HttpRequest) -> str:
    """The same in an event loop."""
    template, shown = Template("{{ met }}{% include 'row.html' %}"), Context({"met": Meets()})
    rendered = sync_to_async(template.render, thread_sensitive=False)

    async def main() -> str:
        return "".join(await asyncio.gather(*(rendered(shown.__copy__()) for _ in range(3))))

    return asyncio.run(main())


@pytest.mark.parametrize("how", [in_threads, in_tasks])
def test_templates_that_are_rendered_at_once_are_counted_each(
    how: Callable[[HttpRequest], str],
) -> None:
    """None of them is a part of another one."""
    assert counted(how, b"rowrow" * 3) == 3


@pytest.mark.parametrize("name", ["page.html", "child.html"])
def test_includes_are_not_counted(name: str) -> None:
    """Nor are templates that a template extends."""
    assert counted(lambda request: render(request, name), b"rowrow") == 1


def test_form_in_a_view_is_a_template() -> None:
    """Django renders a form by a template."""

    class Form(forms.Form):
        pass

    assert counted(lambda request: str(Form()), b"") == 1


needs_partials = pytest.mark.skipif(django.VERSION < (6, 0), reason="they came with Django 6.0")


@needs_partials
def test_partials_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django 6.0's partials are loaded by the name of their template and their own."""
    found = moments(monkeypatch)
    assert counted(lambda request: render(request, "parts.html#row")) == 1
    assert found == ["parts.html#row"]
    twice = lambda request: "".join(loader.render_to_string("parts.html#row") for _ in "ab")  # noqa: E731
    assert counted(twice, b"rowrow") == 2


@needs_partials
def test_partials_within_a_template_are_not_counted() -> None:
    """They are a part of it, as includes are."""
    assert counted(lambda request: render(request, "parts.html"), b"rowrow") == 1


def test_templates_of_jinja2_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is, with the templates that it includes."""
    templates = DictLoader({"page.html": "{% include 'row.html' %}", "row.html": "row"})
    own = backend("django.template.backends.jinja2.Jinja2", loader=templates)
    found = moments(monkeypatch)
    with override_settings(TEMPLATES=[own]):
        assert counted(lambda request: render(request, "page.html")) == 1
        assert found == ["page.html"]
        assert counted(lambda request: engines["jinja2"].from_string("row").render()) == 1


class Rows(BaseEngine):
    """A backend of the application's own."""

    app_dirname = "rows"

    def __init__(self, params: dict[str, Any]) -> None:
        params = params.copy()
        params.pop("OPTIONS")
        super().__init__(params)

    def get_template(self, template_name: str) -> Row:
        return Row()


class Row:
    """Its template, which has neither name nor origin."""

    def render(self, context: Any = None, request: Any = None) -> str:
        return "row"


def test_templates_of_a_backend_of_ones_own_are_counted() -> None:
    """Its engine gives the class, which is as it was after the recorder's end."""
    own = Row.render
    with override_settings(TEMPLATES=[backend(f"{__name__}.Rows")]):
        assert counted(lambda request: render(request, "any")) == 1
        assert counted(lambda request: loader.render_to_string("any")) == 1
        assert Row.render is not own
        process.stop()
    assert Row.render is own


def test_backend_that_a_test_sets_after_the_start_is_counted() -> None:
    """Afterwards nothing is left of it; what a test has patched meanwhile is that test's."""
    own, patched = Row.render, lambda self, *_: "row"
    assert counted(lambda request: render(request, "row.html")) == 1
    with override_settings(TEMPLATES=[backend(f"{__name__}.Rows")]):
        assert counted(lambda request: render(request, "any")) == 1
        ours = Row.render
        with patch.object(Row, "render", patched):
            render(None, "any")
        assert Row.render is ours is not own
    process.stop()
    assert Row.render is own


def test_template_that_fails_is_counted_and_the_next_one_too() -> None:
    """It has taken time as well."""

    def fails() -> None:
        raise LookupError

    def does(request: HttpRequest) -> Any:
        with pytest.raises(LookupError):
            Template("{{ fails }}").render(Context({"fails": fails}))
        return loader.render_to_string("row.html")

    assert counted(does) == 2
