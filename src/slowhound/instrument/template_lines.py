"""Finds ``name:line`` of the template that runs a query, from the query's frame outwards.

A template that extends another one is around it, and a block is around what fills it: their tags
are on the stack although they have not run the query.
"""

from __future__ import annotations

import os
from types import FrameType, FunctionType
from typing import Any

from django.template import Node

from slowhound.instrument import jinja_lines
from slowhound.instrument.jinja_lines import template_of, text_attribute
from slowhound.redaction.masking import short_text
from slowhound.runtime.app_files import is_app
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.library_names import find
from slowhound.runtime.static_lookup import function_variables, in_classes

EXTENDS = "django.template.loader_tags.ExtendsNode"
BLOCK = "django.template.loader_tags.BlockNode"
AROUND = "db_n1 may name a template around the one that runs the queries"


class TemplateLines:
    """The lines on one stack, whose frames come one after the other, the innermost first."""

    def __init__(self) -> None:
        self._inner: FrameType | None = None
        self._around: Any = None  # the template whose block is being filled

    def of(self, frame: FrameType) -> str | None:
        """The line that this frame renders; None for no template, or one of a library."""
        inner, self._inner = self._inner, frame
        template = template_of(frame)
        if template is not None:
            return None if _is_jinjas_block(frame, inner) else _jinja_line(template, frame)
        node = node_of(frame)
        return None if node is None else self._of_node(node)

    def _of_node(self, node: Any) -> str | None:
        origin = attribute_or(node, "origin")
        if _is(node, EXTENDS):
            self._around = None
            return None
        if _is(node, BLOCK):
            self._around = origin
            return None
        name = text_attribute(origin, "template_name")
        line = attribute_or(attribute_or(node, "token"), "lineno")
        if origin is self._around or name is None or type(line) is not int:
            return None
        if _is_librarys(text_attribute(origin, "name")):
            return None
        return f"{short_text(name)}:{line}"


def node_of(frame: FrameType) -> Any:
    """The node of Django's template that this frame renders; None for other frames."""
    render = in_classes(Node, "render_annotated")
    if type(render) is not FunctionType or frame.f_code is not render.__code__:
        return None
    return function_variables(frame).get("self")


def _is(node: Any, name: str) -> bool:
    kind = find(name, AROUND)
    return kind is not None and issubclass(type(node), kind)


def _is_librarys(file: str | None) -> bool:
    """False also for a template that is no file: that is the application's."""
    return file is not None and os.path.isabs(file) and not is_app(file)


def _jinja_line(template: Any, frame: FrameType) -> str | None:
    name = text_attribute(template, "name")
    if name is None or _is_librarys(text_attribute(template, "filename")):
        return None
    shown = jinja_lines.shown_line(template, frame.f_lineno or 0)
    return short_text(name) if shown is None else f"{short_text(name)}:{shown}"


def _is_jinjas_block(frame: FrameType, inner: FrameType | None) -> bool:
    """True where it goes on with a block, or with the template that it extends.

    Each of these is a function of the template, with the context of the page; an included template
    has a new one. So has a block within a loop, which is known by its function.
    """
    template = None if inner is None else template_of(inner)
    if inner is None or template is None:
        return False
    context = function_variables(frame).get("context")
    if context is not None and function_variables(inner).get("context") is context:
        return True
    blocks = attribute_or(template, "blocks")
    functions = blocks.values() if type(blocks) is dict else ()
    return any(type(each) is FunctionType and each.__code__ is inner.f_code for each in functions)
