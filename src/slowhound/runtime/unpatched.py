"""Finds the standard library's own functions, also where gevent has patched them."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from slowhound.runtime.library_names import missing


def original(module: str, name: str) -> Any:
    """The standard library's own ``module.name``, patched by gevent or not."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched(module):
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


def is_patched() -> bool:
    """True when gevent has replaced Python's threads: each request is a greenlet then."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def get_ident() -> int:
    """The ident of the OS thread that calls, which all its greenlets share."""
    ident: int = original("_thread", "get_ident")()
    return ident


def is_greenlet_exit(exc: BaseException) -> bool:
    """True for gevent's way to end a greenlet from outside."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return False
    kind = getattr(greenlet, "GreenletExit", None)
    if kind is None:
        missing("greenlet.GreenletExit", "a request whose greenlet is killed counts as an error")
        return False
    return issubclass(type(exc), kind)
