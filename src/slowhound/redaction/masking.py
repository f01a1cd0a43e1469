"""Masks texts: values under secret names, and values that are secret by their form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from slowhound.redaction import names, values
from slowhound.redaction.cuts import CUT, beginning, cut, without_rest
from slowhound.redaction.databases.errors import without_quoted
from slowhound.redaction.pairs.search import mask_named
from slowhound.redaction.values import mask_values

# Characters beyond these are not even searched.
TEXT_READ = 10_000
CACHED_LIMIT = 500
# In a longer text the quick check costs as much as it saves: 40 µs for 1,000 characters.
QUICK_LIMIT = 200
# For what a client sends: a line longer than a pipe takes at once (4,096 bytes) can be torn apart.
PATH_LIMIT = 1000
HEADER_LIMIT = 400

# A text without any of these has no secret, unless MASK names one.
_SUSPICIOUS = re.compile(r"[=:\uff1a<$@ %&,'\"\\]|--|(?<![\w.-])[\w.-]{12}|[0-9]{3}-[0-9]{2}-")
_forget: list[Callable[[], None]] = []


def cached(function: Callable[[str], str], most: int = 1024) -> Callable[[str], str]:
    """Caches the results for the last texts, as long as the setting ``MASK`` stays."""
    kept = lru_cache(maxsize=most)(function)
    _forget.append(kept.cache_clear)
    return kept


def extend(patterns: Iterable[str]) -> None:
    """Takes over the setting ``MASK``; each process does it once, when its recorder starts.

    Args:
        patterns: regular expressions. One that begins with ``value:`` is searched in texts, the
            others in names, where case does not matter.
    """
    given = tuple(patterns)
    names.extend(given)
    values.extend(given)
    for forget in _forget:
        forget()


def text(value: str) -> str:
    """A text with the values of secret names, and values of secret form, masked."""
    if len(value) > TEXT_READ:
        value = cut(value, TEXT_READ) + CUT
    return mask_values(mask_named(value))


def short_text(value: str) -> str:
    """The same for a path, a header or a name, which often repeat."""
    if len(value) <= QUICK_LIMIT and _SUSPICIOUS.search(value) is None and not values.more:
        return value  # in 1 µs; nearly every path
    return _cached_text(value) if len(value) <= CACHED_LIMIT else text(value)


@cached
def _cached_text(value: str) -> str:
    return text(value)


def client_text(value: str, limit: int, masked: Callable[[str], str] = short_text) -> str:
    """A path or a header of at most ``limit`` characters; of a longer one only its beginning.

    A client may send 64 KiB in a header, and no request must wait for a search of it: ``masked``
    only searches what is shown.
    """
    if len(value) <= limit:
        return masked(value)
    return without_rest(masked(beginning(value, limit))) + CUT


def message(value: str) -> str:
    """The text of an exception, also without what databases quote in their errors."""
    return text(without_quoted(cut(value, TEXT_READ)))


def _name(value: str) -> str:
    return mask_values(cut(value, TEXT_READ))


# Names in code: of a view, a route, a function, a file, a class. They may contain names of
# variables and of groups, which have no values behind them.
name = cached(_name, 8192)
