"""How much larger a box's share is than it normally is, in steps that have a colour each."""

from __future__ import annotations

# Points of share (1 point: 1 % of all) from which a box is a little, more, and much larger.
STEPS = (1.0, 5.0, 15.0)


def points(now: int, all_now: int, before: int, all_before: int) -> float:
    """The difference of two shares in points, -100 to 100."""
    return 100 * now / max(1, all_now) - 100 * before / max(1, all_before)


def step(difference: float) -> str:
    """The class of a box: ``same``, ``more1`` to ``more3``, ``less1`` to ``less3``."""
    height = sum(abs(difference) >= each for each in STEPS)
    if not height:
        return "same"
    return f"{'more' if difference > 0 else 'less'}{height}"
