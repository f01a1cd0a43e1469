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
STATEMENT_LIMIT = 4000

# In the order of trying: comments; quoted strings, also cut off ones; dollar quotes (PostgreSQL);
# numbers; placeholders. Double quotes hold identifiers, except in MySQL: what could not be an
# identifier is masked.
_LITERALS = re.compile(
    r"""(?P<comment>/\*.*?(?:\*/|$)|--[^\n]*)"""
    r"""|'(?:[^'\\]|''|\\.)*(?:'|$)"""
    r"""|(?P<name>"[A-Za-z_][\w$]{0,63}")"""
    r"""|"(?:[^"\\]|""|\\.)*(?:"|$)"""
    r"""|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|$)"""
    r"""|\b0x[0-9a-f]+\b|\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b"""
    r"""|%s|%\(\w+\)s|\$\d+""",
    re.IGNORECASE | re.DOTALL,
)
_LISTS = re.compile(r"\(\s*\?(?:\s*,\s*\?)*\s*\)(?:\s*,\s*\(\s*\?(?:\s*,\s*\?)*\s*\))*")


def _masked(found: re.Match[str]) -> str:
    if found["name"] is not None:
        return found["name"]
    return " " if found["comment"] is not None else "?"


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


def url(address: str) -> str:
    """A URL with the secret values of its query string masked."""
    before, mark, query = address.partition("?")
    return before + mark + query_string(query) if mark else address


def sql_shape(sql: str) -> str:
    """The statement with literals and lists as ``?``, without comments, 500 characters.

    It is what groups statements, and all of a statement that is ever shown: an application may
    have written values into its SQL. Text in double quotes that could be an identifier stays.
    """
    return _shape(sql[:STATEMENT_LIMIT])


@lru_cache(maxsize=1024)
def _shape(sql: str) -> str:
    # Cached, for an application has few statements; cut before, for some are megabytes long.
    text = _LISTS.sub("(?)", _LITERALS.sub(_masked, sql))
    return " ".join(text.split())[:SQL_LIMIT]
