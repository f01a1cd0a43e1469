"""What a sink is, and how one entry of ``SINKS`` becomes one."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from slowhound.core.report import Report


class Sink(Protocol):
    """What a class in ``SINKS`` has to have; its other settings are keyword arguments."""

    def deliver(self, report: Report) -> None:
        """Takes one report; may be slow, may raise: then it is tried again."""

    def close(self) -> None:
        """Called once when the worker stops."""


def build(spec: Any) -> Sink:
    """The sink of one entry of ``SINKS``: a dotted path, or a mapping with it under ``sink``."""
    options = {} if isinstance(spec, str) else dict(spec)
    path = spec if isinstance(spec, str) else options.pop("sink")
    module, _, name = path.rpartition(".")
    sink: Sink = getattr(importlib.import_module(module), name)(**options)
    return sink
