"""Finds the lines of Jinja2's templates, which are compiled to Python code with other lines.

In the traceback of an exception Jinja2 replaces their frames by others, which have the template's
file but not its name; the frame that made them still has the real one in a variable.
https://jinja.palletsprojects.com/en/stable/api/#jinja2.Environment.handle_exception
"""

from __future__ import annotations

from types import FrameType, FunctionType, TracebackType
from typing import Any

from slowhound.redaction.masking import short_text
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.code_objects import file_of
from slowhound.runtime.library_names import find
from slowhound.runtime.static_lookup import function_variables

MAKES_FRAMES = "jinja2.debug.fake_traceback"
WITH_REAL_ONES = "jinja2.debug.fake_traceback:tb"
ONLY_FILES = "exc_template has the file of a template of Jinja2's, and not its name"


def template_of(frame: FrameType) -> Any:
    """The template whose code this is; None for other code."""
    return dict.get(frame.f_globals, "__jinja_template__")


def text_attribute(template: Any, name: str) -> str | None:
    """An attribute of a template that is a text, or a safe text of Django's."""
    found = attribute_or(template, name)
    return as_text(found) if issubclass(type(found), str) else None


def shown_line(template: Any, line: int) -> int | None:
    """The line of the template for a line of its code."""
    found = template.get_corresponding_lineno(line)
    return found if type(found) is int else None


def failed(at: TracebackType) -> str | None:
    """``name:line``, where this entry of a traceback is a template's; else None."""
    frame, line = at.tb_frame, at.tb_lineno
    template = template_of(frame)
    if template is not None:
        return _place(template, shown_line(template, line), frame)
    exc = dict.get(frame.f_globals, "__jinja_exception__")
    return None if exc is None else _place(_named(frame, exc), line, frame)


def _named(frame: FrameType, exc: Any) -> Any:
    """The object that has the name of the frame's template; None where there is none."""
    make, maker = find(MAKES_FRAMES, ONLY_FILES), frame.f_back
    if make is None or find(WITH_REAL_ONES, ONLY_FILES) is None:
        return None
    if type(make) is not FunctionType or maker is None or maker.f_code is not make.__code__:
        return None
    real = function_variables(maker).get("tb")
    # A template that Jinja2 cannot compile has no frame; then the exception has its name.
    return template_of(real.tb_frame) if type(real) is TracebackType else exc


def _place(named: Any, line: int | None, frame: FrameType) -> str:
    name = text_attribute(named, "name") or text_attribute(named, "filename")
    return f"{short_text(name or file_of(frame.f_code))}:{line}"
