"""Makes the sink of ``DOGSLOW_LOG_TO_SENTRY``: Sentry if the application uses it, else a logger."""

from __future__ import annotations

import sys
from typing import Any

from slowhound.core.report import Report
from slowhound.delivery.sink import Sink
from slowhound.sinks.logger import PythonLogger


class Discards:
    """For an application that uses no Sentry and names no logger."""

    def deliver(self, report: Report) -> None:
        """Does nothing, as dogslow did."""

    def close(self) -> None:
        """Nothing is open."""


def make(name: str | None, **options: Any) -> Sink:
    """The sink; ``name`` of the logger and ``options`` are as for ``PythonLogger``."""
    sentry_sdk = sys.modules.get("sentry_sdk")  # an application that uses it has imported it
    if sentry_sdk is not None and sentry_sdk.get_client().is_active():
        from slowhound.sinks.sentry import Sentry

        return Sentry()
    return Discards() if name is None else PythonLogger(name=name, **options)
