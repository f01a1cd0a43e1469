"""Puts a mask in the place of secrets."""

from __future__ import annotations

MASK = "********************"  # Django's own cleansed_substitute


def masked(text: str, spans: list[tuple[int, int]]) -> str:
    """``text`` with ``MASK`` for each of the spans; for spans that overlap, one ``MASK``."""
    parts, kept = [], 0
    for start, end in sorted(spans):
        if start >= kept:
            parts += [text[kept:start], MASK]
        kept = max(kept, end)
    return "".join([*parts, text[kept:]]) if parts else text
