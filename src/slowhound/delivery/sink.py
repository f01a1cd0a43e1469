"""What a sink is, and how an entry of ``SINKS`` becomes one."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Protocol

from slowhound.core.report import Report


class Sink(Protocol):
    """What a class in ``SINKS`` must have; its other settings are keyword arguments.

    It may have two methods more:

    - ``follow_up(report)``: a request whose report the sink has got has ended;
      ``report.finished`` is how. May raise, and is tried again. For a request that ended before
      its report was sent only ``deliver`` is called, with ``finished`` set.
    - ``take_event(event)``: each event of this worker, about once a second in a batch. Not tried
      again when it raises. The dict is shared and must not be changed. A sink that keeps events
      has an attribute ``on_sent``, None at first: it is set to a function, to be called with the
      ``seq`` of the last event of this process that has arrived. Events that had not arrived when
      the process ended are sent by another process.
    """

    def deliver(self, report: Report) -> None:
        """Takes one report; may be slow, may raise: then it is tried again."""

    def close(self) -> None:
        """Called once when the worker stops."""


def path_of(spec: Any) -> str:
    """The dotted path of one entry of ``SINKS``, which is that, or a mapping with ``sink``."""
    path: str = spec if isinstance(spec, str) else spec["sink"]
    return path


def build(spec: Any) -> Sink:
    """The sink of one entry of ``SINKS``."""
    options = {} if isinstance(spec, str) else {k: v for k, v in spec.items() if k != "sink"}
    module, _, name = path_of(spec).rpartition(".")
    sink: Sink = getattr(importlib.import_module(module), name)(**options)
    return sink


def preload(specs: tuple[Any, ...]) -> None:
    """Imports slowhound's own sinks while the application loads, which may compile their modules.

    On the thread that sends, that would stop all other threads for as long. The application's own
    sinks are imported there: they may need modules that are not ready yet.
    """
    for spec in specs:
        path = path_of(spec)
        if path.startswith("slowhound."):
            with contextlib.suppress(ImportError):  # it is logged when the sink is made
                importlib.import_module(path.rpartition(".")[0])
