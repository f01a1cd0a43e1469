"""``InstrumenterProtocol``."""

from __future__ import annotations

from typing import Any, Protocol


class InstrumenterProtocol(Protocol):
    """What an instrumenter may define; each does nothing by default."""

    def setup(self) -> None:
        """Patch or configure what is needed; called once per worker."""

    def teardown(self) -> None:
        """Revert that; called when the worker stops."""

    def call(self, req: Any, resp: Any, environ: dict[str, Any] | None) -> None:
        """Add to the context; called when a request ends."""
