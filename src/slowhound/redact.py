"""What never leaves: values under secret names, and literals inside SQL."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_plus

MASK = "********************"  # Django's own cleansed_substitute
SECRET_NAMES = re.compile(
    r"api|auth|token|key|secret|pass|pwd|signature|cookie|session|credential|card|cvv|cvc|iban"
    r"|ssn|\bpin\b",
    re.IGNORECASE,
)
QUERY_LIMIT = 1000
SQL_LIMIT = 500

_LITERALS = re.compile(r"""'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b|%s|%\(\w+\)s|\$\d+""")
_LISTS = re.compile(r"\(\s*\?(?:\s*,\s*\?)*\s*\)(?:\s*,\s*\(\s*\?(?:\s*,\s*\?)*\s*\))*")


def is_secret(name: str) -> bool:
    """True when what is called ``name`` must not be shown."""
    return SECRET_NAMES.search(name) is not None


def query_string(query: str) -> str:
    """A URL's query string with the values of secret names masked."""
    parts = []
    for part in query[:QUERY_LIMIT].split("&"):
        name, equals, _ = part.partition("=")
        parts.append(f"{name}={MASK}" if equals and is_secret(unquote_plus(name)) else part)
    return "&".join(parts)


@lru_cache(maxsize=2048)
def sql_shape(sql: str) -> str:
    """The statement with literals and lists as ``?`` and white space folded, 500 characters.

    It is what groups statements, and all of a statement that is ever shown: an application may
    have written values into its SQL. Cached, for an application has few statements.
    """
    text = _LITERALS.sub("?", sql[:4000])
    text = _LISTS.sub("(?)", text)
    return " ".join(text.split())[:SQL_LIMIT]
