"""Template rendering: how many, and for how long without the queries inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.template import Template

from slowhound.clocks import clock
from slowhound.guard import guard
from slowhound.instrument.clock import own_time
from slowhound.losses import find, look_up
from slowhound.plain_data import as_text
from slowhound.record import Record, current_record, unfinished

_guard = guard("template instrumenter")
RENDER = "django.template.base.Template.render"
# What stands there when we come: others may have patched it before.
_render: Callable[[Template, Any], Any] = look_up(RENDER)


def install() -> None:
    """Wraps ``Template.render``, the one door through which Django's templates are rendered."""
    global _render
    found = find(RENDER, "no template is seen")
    if found is not None and found is not render:
        _render = found
        Template.render = render  # type: ignore[method-assign]


def uninstall() -> None:
    """Puts the method back, unless somebody else has patched it since."""
    if look_up(RENDER) is render:
        Template.render = _render  # type: ignore[method-assign,assignment]


def render(self: Template, *args: Any, **kwargs: Any) -> Any:
    """Renders; the outermost template of a request is timed, includes only pass through."""
    record = unfinished(current_record.get())
    if record is None or record.tmpl_depth:
        return _render(self, *args, **kwargs)
    before = record.accounted
    start = clock.monotonic()
    # One try, and its end twice: what is raised from outside may come between two of them.
    try:
        record.tmpl_depth = 1
        result = _render(self, *args, **kwargs)
        _leave(record, self, start, before)
    except BaseException:
        _leave(record, self, start, before)
        raise
    return result


def _leave(record: Record, template: Template, start: float, before: float) -> None:
    if not record.tmpl_depth:
        return
    record.tmpl_depth = 0
    with _guard:
        took = clock.monotonic() - start
        record.tmpl_count += 1
        record.tmpl_time += own_time(record, took, before)
        record.note(start, took, "template", as_text(getattr(template, "name", None) or "-"))


def describe(record: Record, event: dict[str, Any]) -> None:
    """Count and time, when a template was rendered."""
    if record.tmpl_count:
        event["tmpl_count"] = record.tmpl_count
        event["tmpl_time"] = record.tmpl_time
