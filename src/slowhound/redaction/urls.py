"""Masks addresses and query strings."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from slowhound.redaction.cuts import without_rest
from slowhound.redaction.forms.tokens import without_places
from slowhound.redaction.mask import MASK
from slowhound.redaction.masking import CACHED_LIMIT, cached, client_text, short_text, text
from slowhound.redaction.names import has_more, is_secret
from slowhound.redaction.pairs import links
from slowhound.redaction.pairs.search import STEM, mask_named
from slowhound.redaction.values import mask_values

QUERY_LIMIT = 1000
# What is searched beyond a limit, so that a secret that begins before the limit is recognised.
QUERY_READ = QUERY_LIMIT + 200
# Limits for the names alone: characters shown and read of all, number of names, characters of one.
KEYS_LIMIT, KEYS_READ = 200, 4000
MOST_NAMES, NAME_READ = 500, 3 * KEYS_LIMIT + 3
# A longer word without a value is no flag.
LONGEST_FLAG = 20
# A query string with more values and a secret is masked as a whole.
QUERY_VALUES_LIMIT = 64
# Levels of addresses within addresses.
ADDRESS_DEPTH = 3

# ``#/orders/12/lines``, ``#how-to-reset-a-password``, ``?include_archived_orders``: no random text.
_PART = r"(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,12}|[0-9]{1,8})"
_OF_WORDS = re.compile(rf"[/!]{{0,3}}{_PART}(?:[/._:-]{{1,2}}{_PART}){{1,30}}/?")
_LONG_FLAG = re.compile(r"(?:^|&)[^&=]{21}")


def query_string(query: str) -> str:
    """A URL's query string with the values of secret names, and secret values, masked."""
    return _query(query, "")


def _query(query: str, path: str) -> str:
    """The same behind a path, which may be the one that a login provider redirects to."""
    read = query[:QUERY_READ]
    plain = _decoded(read)
    suspicious = _LONG_FLAG.search(read) is not None or _may_name_a_secret(plain[-1])
    if suspicious or any(each != mask_values(each) for each in plain):
        shown = _searched(read, path)
    else:
        shown = read
    shown = shown[:QUERY_LIMIT]
    return without_rest(shown) if len(query) > len(read) else shown


def _may_name_a_secret(plain: str) -> bool:
    lower = plain.lower()
    return STEM.search(lower) is not None or has_more() or bool(links.tokens_of(lower))


def _decoded(value: str) -> list[str]:
    """A value, and each result of decoding it again."""
    found = [value]
    for _ in range(ADDRESS_DEPTH):
        if "%" not in found[-1] and "+" not in found[-1]:
            break
        again = unquote_plus(found[-1])
        if again == found[-1]:
            break
        found.append(again)
    return found


def _searched(query: str, path: str) -> str:
    parts = [part.partition("=") for part in query.split("&", QUERY_VALUES_LIMIT)]
    names = [unquote_plus(name) for name, _, _ in parts]
    beside = [name.lower() for name in names]
    path = path.lower()
    shown = []
    for (name, equals, value), plain in zip(parts, names, strict=True):
        hidden = equals and value and _is_hidden(plain, value, beside, path)
        known = equals or len(name) <= LONGEST_FLAG or _OF_WORDS.fullmatch(name) is not None
        label = _parameter(name) if known else MASK
        shown.append(f"{label}{equals}{MASK if hidden else _parameter(value)}")
    if len(parts) > QUERY_VALUES_LIMIT:
        shown[-1] = MASK
    return "&".join(shown)


def _is_hidden(name: str, value: str, beside: list[str], path: str) -> bool:
    lower = name.lower()
    return (
        is_secret(name)
        or links.is_provider_name(lower)
        or (links.may_be_answer(lower) and links.is_answer(lower, value, beside, path))
    )


def _parameter(value: str) -> str:
    """One name or value, as it was sent; masked when it contains a secret."""
    if len(value) < 6:
        return value
    return MASK if any(text(each) != each for each in _decoded(value)) else value


def query_keys(query: str) -> str:
    """The names of a query string, in order, without their values, which may be secret.

    Only what is shown is decoded and searched: no request must wait for what a client sends.
    """
    parts = query[:KEYS_READ].split("&", MOST_NAMES)[:MOST_NAMES]
    values = {name: value for name, _, value in (each.partition("=") for each in parts if each)}
    names: dict[str, None] = {}
    left = KEYS_LIMIT
    for raw, value in values.items():
        name = unquote_plus(raw[:NAME_READ])
        # Without a value, the name itself may be one: ``/unsubscribe?d41d8cd98f00b204e9``.
        names[MASK if len(name) > LONGEST_FLAG and not value else name] = None
        left -= len(name) + 1
        if left < 0:
            break
    shown = ",".join(names)
    if len(shown) <= KEYS_LIMIT:
        return short_text(shown)
    before, comma, last = short_text(shown[:KEYS_LIMIT]).rpartition(",")
    return (before + comma + without_rest(last))[:KEYS_LIMIT]


def url(address: str) -> str:
    """A URL with its password, and the secret values of its query and fragment, masked."""
    return _cached_url(address) if len(address) <= CACHED_LIMIT else _url(address)


def client_url(address: str, limit: int) -> str:
    """A referrer of at most ``limit`` characters; of a longer one only its beginning."""
    return client_text(address, limit, url)


@cached
def _cached_url(address: str) -> str:
    return _url(address)


def _url(address: str) -> str:
    is_cut = len(address) > QUERY_READ
    before, mark, query = without_places(address[:QUERY_READ]).partition("?")
    before, hash_, within = before.partition("#")
    query, hash_after, fragment = query.partition("#")
    scheme, mark_of_host, rest = before.partition("://")
    # No name begins behind a scheme: a search for pairs would find nothing.
    shown = mask_values(scheme + mark_of_host + mask_named(rest)) if mark_of_host else text(before)
    shown += hash_ + (_query(within, before) if hash_ else "")
    if mark:
        shown += mark + _query(query, before) + hash_after + _query(fragment, before)
    return without_rest(shown[:QUERY_LIMIT]) if is_cut else shown
