"""What never leaves: values under secret names, and values that look secret (SQL: ``sql``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from slowhound.redaction import names, values
from slowhound.redaction.cuts import CUT, beginning, cut, without_rest
from slowhound.redaction.databases.errors import without_quoted
from slowhound.redaction.pairs.search import mask_named
from slowhound.redaction.values import mask_values

# Characters beyond these are not even looked at.
TEXT_READ = 10_000
CACHED_LIMIT = 500
# Of a longer text the quick look costs as much as it saves: 40 µs for 1,000 characters.
SHORT = 200
# Of what a client sends: a line longer than a pipe takes at once (4,096 bytes) can be torn apart.
PATH_LIMIT = 1000
HEADER_LIMIT = 400

# Without one of these there is no secret in a text, unless by MASK.
_SUSPICIOUS = re.compile(r"[=:\uff1a<$@ %&,'\"\\]|--|(?<![\w.-])[\w.-]{12}|[0-9]{3}-[0-9]{2}-")
_forget: list[Callable[[], None]] = []


def cached(function: Callable[[str], str], most: int = 1024) -> Callable[[str], str]:
    """Keeps what it has made of the last texts, as long as the setting ``MASK`` stays."""
    kept = lru_cache(maxsize=most)(function)
    _forget.append(kept.cache_clear)
    return kept


def extend(patterns: Iterable[str]) -> None:
    """Takes over the setting ``MASK``; each process does it once, when its recorder starts.

    Args:
        patterns: regular expressions. One that begins with ``value:`` is looked for in texts, the
            others in names, where case does not matter.
    """
    given = tuple(patterns)
    names.extend(given)
    values.extend(given)
    for forget in _forget:
        forget()


def text(value: str) -> str:
    """A text with the values of secret names, and those that look secret, masked."""
    if len(value) > TEXT_READ:
        value = cut(value, TEXT_READ) + CUT
    return mask_values(mask_named(value))


def short_text(value: str) -> str:
    """The same for a path, a header or a name, of which many come again."""
    if len(value) <= SHORT and _SUSPICIOUS.search(value) is None and not values.more:
        return value  # in 1 µs; nearly every path
    return _cached_text(value) if len(value) <= CACHED_LIMIT else text(value)


@cached
def _cached_text(value: str) -> str:
    return text(value)


def client_text(value: str, limit: int, masked: Callable[[str], str] = short_text) -> str:
    """A path or a header of at most so many characters; of a longer one only its beginning.

    A client may send 64 KiB in a header, for which no request shall wait: only what is shown is
    searched, by ``masked``.
    """
    if len(value) <= limit:
        return masked(value)
    return without_rest(masked(beginning(value, limit))) + CUT


def message(value: str) -> str:
    """The text of an exception: also without what databases quote in theirs."""
    return text(without_quoted(cut(value, TEXT_READ)))


def _name(value: str) -> str:
    return mask_values(cut(value, TEXT_READ))


# What code calls something: a view, a route, a function, a file, a class. Names of variables and of
# groups are a part of it, and no values stand behind them.
name = cached(_name, 8192)
