"""Addresses and query strings, as they may leave."""

from __future__ import annotations

from urllib.parse import unquote_plus

from slowhound.redaction.masking import CACHED_LIMIT, CUT, cached, text
from slowhound.redaction.names import is_secret
from slowhound.redaction.values import MASK

QUERY_LIMIT = 1000
# Characters beyond these are not even looked at.
QUERY_READ = 8000
# Longer words without a value are no flags.
LONGEST_FLAG = 20


def query_string(query: str) -> str:
    """A URL's query string with the values of secret names, and secret values, masked."""
    pairs = [part.partition("=") for part in query[:QUERY_READ].split("&")]
    names = [unquote_plus(name) for name, _, _ in pairs]
    # The answer of an OAuth provider: the code can be exchanged for a token.
    oauth = "code" in names and not {"state", "iss", "session_state"}.isdisjoint(names)
    shown = []
    for (name, equals, value), plain in zip(pairs, names, strict=True):
        hidden = equals and (is_secret(plain) or (oauth and plain in ("code", "state")))
        known = equals or len(name) <= LONGEST_FLAG
        label = _parameter(name) if known else MASK
        shown.append(f"{label}{equals}{MASK if hidden else _parameter(value)}")
    return "&".join(shown)[:QUERY_LIMIT]


def _parameter(value: str) -> str:
    """One name or value, as it was sent; masked when there is a secret in it."""
    if len(value) < 6:
        return value
    plain = unquote_plus(value)
    if text(plain) != plain:
        return MASK
    again = unquote_plus(plain)  # an address within an address
    return MASK if again != plain and text(again) != again else value


def url(address: str) -> str:
    """A URL with its password, and the secret values of its query and fragment, masked."""
    return _cached_url(address) if len(address) <= CACHED_LIMIT else _url(address)


def client_url(address: str, limit: int) -> str:
    """A referrer, of which so many characters are shown; only these are searched."""
    return url(address) if len(address) <= limit else url(address[:limit]) + CUT


@cached
def _cached_url(address: str) -> str:
    return _url(address)


def _url(address: str) -> str:
    before, mark, query = address.partition("?")
    before, hash_, within = before.partition("#")
    query, hash_after, fragment = query.partition("#")
    shown = text(before) + hash_ + (query_string(within) if hash_ else "")
    if mark:
        shown += mark + query_string(query) + hash_after + query_string(fragment)
    return shown
