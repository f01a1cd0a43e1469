"""Sees templates being rendered: how many, and for how long without the queries inside.

Django's own templates are rendered by ``Template.render``, from Django 6.0 on their partials by
``PartialTemplate.render``. Other backends (Jinja2) have templates of their own classes, which are
known when the first one is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from types import FunctionType
from typing import Any

import django
from django.conf import settings
from django.utils.module_loading import import_string

from slowhound.core.in_flight import current_record, unfinished
from slowhound.core.record import Record
from slowhound.instrument.clock import own_time
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import find, find_imported, patch
from slowhound.runtime.static_lookup import MISSING, dict_of, name_of, owner_of
from slowhound.system.guard import guard

_guard = guard("template instrumenter")
RENDER = "django.template.base.Template.render"
PARTIAL = "django.template.base.PartialTemplate.render"
DJANGO_ENGINE = "django.template.backends.django.DjangoTemplates"
# A method -> what was there before, which others may have patched, and ours.
_patched: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
_wrapped: dict[tuple[type, str], tuple[FunctionType, Callable[..., Any]]] = {}
_made: set[Callable[..., Any]] = set()
# The request whose template is being rendered in this context: it may render several at once.
_within: ContextVar[Record | None] = ContextVar("slowhound_template", default=None)


def install() -> None:
    """Wraps the methods that render templates."""
    _patch(RENDER, "no template is seen")
    if django.VERSION >= (6, 0):
        _patch(PARTIAL, "partials of templates are not seen")
    wrap_engines()


def wrap_engines() -> None:
    """Wraps those of other backends, also when a test has overridden ``TEMPLATES``."""
    for engine in settings.TEMPLATES:
        with _guard:  # one whose library is missing fails for the application, later
            if engine["BACKEND"] != DJANGO_ENGINE:
                backend = import_string(engine["BACKEND"])
                for loads in ("get_template", "from_string"):
                    _wrap(backend, loads, _sees_class)


def uninstall() -> None:
    """Puts the methods back, unless others have patched them since."""
    while _patched:
        name, (own, ours) = _patched.popitem()
        if find_imported(name) is ours:
            patch(name, own)
    while _wrapped:
        (cls, method), (own, ours) = _wrapped.popitem()
        if dict_of(cls).get(method) is ours:
            setattr(cls, method, own)


def _patch(name: str, so: str) -> None:
    found = find(name, so)
    if found is not None and found not in _made:
        ours = _observed(found)
        _patched[name] = found, ours
        patch(name, ours)


def _wrap(kind: type, name: str, how: Callable[[Callable[..., Any]], Any]) -> None:
    """Wraps a method where it is defined."""
    owner = owner_of(kind, name)
    own = MISSING if owner is None else dict_of(owner)[name]
    if owner is None or (owner, name) in _wrapped:
        return  # another patch may be there for a while only
    if type(own) is FunctionType and own not in _made:
        ours = how(own)
        _wrapped[owner, name] = own, ours
        setattr(owner, name, ours)


def _sees_class(load: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load)
    def get_template(*args: Any, **kwargs: Any) -> Any:
        found = load(*args, **kwargs)
        with _guard:
            _wrap(type(found), "render", _observed)
        return found

    _made.add(get_template)
    return get_template


def _observed(method: Callable[..., Any]) -> Callable[..., Any]:
    """Renders; the outermost template of a request is timed, includes only pass through."""

    @wraps(method)
    def render(self: Any, *args: Any, **kwargs: Any) -> Any:
        record = unfinished(current_record.get())
        around = _within.get()
        if record is None or record is around:
            return method(self, *args, **kwargs)
        left: list[bool] = []
        began = around, record.accounted, clock.monotonic()
        # One try, and its end twice: an exception from outside may come between two of them.
        try:
            _within.set(record)
            result = method(self, *args, **kwargs)
            _leave(record, self, began, left)
        except BaseException:
            _leave(record, self, began, left)
            raise
        return result

    _made.add(render)
    return render


def _leave(
    record: Record, template: Any, began: tuple[Record | None, float, float], left: list[bool]
) -> None:
    around, before, start = began
    _within.set(around)
    if left:
        return
    left.append(True)
    with _guard:
        took = clock.monotonic() - start
        record.tmpl_count += 1
        record.tmpl_time += own_time(record, took, before)
        record.note(start, took, "template", _name(template))


def _name(template: Any) -> str:
    """The name by which it is loaded: ``page.html``, or ``page.html#part`` for a partial."""
    name = attribute_or(template, "name")
    whole = attribute_or(attribute_or(template, "origin"), "template_name")
    if name is None:
        name = whole
    elif whole is not None and name_of(type(template)) == "PartialTemplate":
        name = f"{as_text(whole)}#{as_text(name)}"
    return as_text("" if name is None else name) or "-"


def describe(record: Record, event: dict[str, Any]) -> None:
    """Count and time, when a template was rendered."""
    if record.tmpl_count:
        event["tmpl_count"] = record.tmpl_count
        event["tmpl_time"] = record.tmpl_time
