"""How much of the wall's time a chore of the hound's may take."""

from __future__ import annotations

# Seconds that may be saved up, for a burst.
BURST = 0.05


class Budget:
    """Seconds of work that may be done: ``share`` of the time that passes since ``now``."""

    def __init__(self, share: float, now: float) -> None:
        self._share = share
        self._saved = BURST
        self._at = now

    def left(self, now: float) -> bool:
        """True while there is some."""
        self._saved = min(self._saved + (now - self._at) * self._share, BURST)
        self._at = now
        return self._saved > 0.0

    def spend(self, seconds: float) -> None:
        """Takes off what was used; it may become a debt."""
        self._saved -= seconds
