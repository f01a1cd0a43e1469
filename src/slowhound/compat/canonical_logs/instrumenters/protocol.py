"""``InstrumenterProtocol``, the base class of an application's instrumenters."""

from __future__ import annotations

from typing import Any, Protocol


class InstrumenterProtocol(Protocol):
    """The methods that an instrumenter may define; by default they do nothing."""

    def setup(self) -> None:
        """Patch or configure what is needed; called once per worker."""

    def teardown(self) -> None:
        """Undo that; called when the worker stops."""

    def call(self, req: Any, resp: Any, environ: dict[str, Any] | None) -> None:
        """Add to the context; called when a request ends."""
