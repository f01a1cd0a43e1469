"""``name:line`` of what a template of the application's runs, on the way out from a query.

A template that extends another one is around it, and what has a block is around what fills it:
that their tags are on the stack does not say that they have run anything.
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
    """Those of one walk, which asks for one frame after the other, the innermost one first."""

    def __init__(self) -> None:
        self._inner: FrameType | None = None
        self._around: Any = None  # the template whose block is being filled

    def of(self, frame: FrameType) -> str | None:
        """The line that this frame renders; None: it renders none, or one of a library's."""
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
    """The node of a template of Django's that this frame renders; None: it renders none."""
    render = in_classes(Node, "render_annotated")
    if type(render) is not FunctionType or frame.f_code is not render.__code__:
        return None
    return function_variables(frame).get("self")


def _is(node: Any, name: str) -> bool:
    kind = find(name, AROUND)
    return kind is not None and issubclass(type(node), kind)


def _is_librarys(file: str | None) -> bool:
    """A template need not be a file; then it is the application's."""
    return file is not None and os.path.isabs(file) and not is_app(file)


def _jinja_line(template: Any, frame: FrameType) -> str | None:
    name = text_attribute(template, "name")
    if name is None or _is_librarys(text_attribute(template, "filename")):
        return None
    shown = jinja_lines.shown_line(template, frame.f_lineno or 0)
    return short_text(name) if shown is None else f"{short_text(name)}:{shown}"


def _is_jinjas_block(frame: FrameType, inner: FrameType | None) -> bool:
    """True where it goes on with a block, or with the template that it extends.

    Each of these is a function of its template's, with the context of the page; what is included
    has a new one. A block within a loop has one of its own as well, and is known by its function.
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
