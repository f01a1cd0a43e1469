"""What stands in the place of a secret."""

from __future__ import annotations

MASK = "********************"  # Django's own cleansed_substitute


def masked(text: str, spans: list[tuple[int, int]]) -> str:
    """``text`` with ``MASK`` for each of the spans, which are in order."""
    parts, kept = [], 0
    for start, end in spans:
        parts += [text[kept : max(start, kept)], MASK]
        kept = end
    return "".join([*parts, text[kept:]]) if parts else text
