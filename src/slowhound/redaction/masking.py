"""What never leaves: values under secret names, and values that look secret (SQL: ``sql``)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from slowhound.redaction import names, values
from slowhound.redaction.names import is_asked_for, is_secret
from slowhound.redaction.sql import sql_shape
from slowhound.redaction.values import MASK, mask_values

QUERY_LIMIT = 1000
# Characters beyond these are not even looked at.
QUERY_READ = 8000
TEXT_READ = 10_000
CACHED_LIMIT = 500
# Longer words without a value are no flags.
LONGEST_FLAG = 20
# Of an application's own fields: what lies deeper is not looked at, and masked.
DEPTH = 4
# ``Context.set("key", ...)``: a key of what, the application knows; ``api_key`` is a secret one.
KEYS = ("app_key", "app_keys")

# Without one of these there is no secret in a text, unless by MASK.
_SUSPICIOUS = re.compile(r"[=:<$@ ]|--|[\w.-]{12}|[0-9]{3}-[0-9]{2}-")
# What a value can stand behind: name=, "name": , name => , <name>, --name , and their kin.
_NAMED = re.compile(
    r"""(?P<dashes>--)?(?P<tag><)?(?P<prefix>\\{0,4}["'])?(?<![A-Za-z0-9_])"""
    r"""(?P<name>[A-Za-z_][\w.\-]{0,100}+(?:\[[\w.\-]{0,40}+\]){0,3})(?:\\{0,4}["'])?"""
    r"""(?(tag)(?:\s[^<>]{0,100})?>|(?:\s{0,4}(?:=>|:=|==?|:)\s{0,4}|(?(dashes),?\s{1,4}|(?!))))"""
)
_VALUE = re.compile(
    r"""[bBuUrR]{0,2}(?P<quoted>"(?:[^"\\]++|\\.)*(?:"|\Z)|'(?:[^'\\]++|\\.)*(?:'|\Z))"""
    r"""|(?P<escape>\\+["']).*?(?:(?P=escape)|\Z)"""
    r"""|[\[({][^\])}]*+[\])}]?"""
    r"""|(?:(?:bearer|basic|digest|token|negotiate|apikey)\s+)?[^\s,;&|)\]}'"<>\\]*+""",
    re.DOTALL | re.IGNORECASE,
)
_IN_TAG = re.compile(r"[^<]*+")
_TO_LINE_END = re.compile(r"""(?!["'\\\[({])[^\r\n]*+""")
_HEADERS = ("authorization", "cookie")

# What databases quote in their errors. PostgreSQL shows a row, a key, a line of the statement.
# Where a quotation has no end, the rest of its line goes: it was cut, or there are many of them,
# and each would look for its end anew.
_DB_VALUES = re.compile(
    r"(?P<key>\bKey \([^()]*+\)=)\((?:.*?\)(?= |$)|.*)"
    r"|(?P<row>\bFailing row contains )\((?:.*\)|.*)"
    r"|(?P<entry>\bDuplicate entry )'(?:.*?'(?= for key)|.*)"
    r"|(?P<syntax>\bsyntax for (?:type )?[\w ]{1,40}: )\"[^\n]*\""
    r"|(?P<value>\b[Ii]ncorrect \w{1,20} value: )'(?:.*?'(?= for)|.*)"
    # People say "near", too: a short line stays.
    r"|(?P<near>\bnear )(?:'(?:.*?'(?= at line|$)|.{200}.*)|\"[^\"]*+\")"
    r"|(?P<line>^LINE \d+: )[^\n]*(?:\n[ ]*\^)?",
    re.MULTILINE,
)


def extend(patterns: Iterable[str]) -> None:
    """Takes over the setting ``MASK``; each process does it once, when its recorder starts.

    Args:
        patterns: regular expressions. One that begins with ``value:`` is looked for in texts, the
            others in names, where case does not matter.
    """
    given = tuple(patterns)
    names.extend(given)
    values.extend(given)
    for cached in (_cached_text, _cached_url):
        cached.cache_clear()


def text(value: str) -> str:
    """A text with the values of secret names, and those that look secret, masked."""
    if len(value) > TEXT_READ:
        value = value[:TEXT_READ] + "..."
    return mask_values(_mask_named(value) if "=" in value or ":" in value else _mask_marked(value))


def _mask_marked(value: str) -> str:
    return _mask_named(value) if "--" in value or "<" in value else value


def _mask_named(value: str) -> str:
    parts, position, kept = [], 0, 0
    while (found := _NAMED.search(value, position)) is not None:
        position = found.end()
        name = found["name"]
        if not is_secret(name):
            continue
        secret = _value_pattern(found).match(value, position)
        if secret is None or secret.end() == position:
            continue
        parts += [value[kept:position], _masked_value(secret)]
        position = kept = secret.end()
    return "".join([*parts, value[kept:]]) if parts else value


def _value_pattern(found: re.Match[str]) -> re.Pattern[str]:
    if found["tag"]:
        return _IN_TAG
    is_header = found["prefix"] is None and found["name"].lower().endswith(_HEADERS)
    following = found.string[found.end() : found.end() + 1]
    return _TO_LINE_END if is_header and following not in "\"'\\[({" else _VALUE


def _masked_value(secret: re.Match[str]) -> str:
    if secret.re is _VALUE:
        quoted, escape = secret["quoted"], secret["escape"]
        if quoted:
            return f"{quoted[0]}{MASK}{quoted[0]}"
        if escape:
            return f"{escape}{MASK}{escape}"
    return MASK


def short_text(value: str) -> str:
    """The same for a path, a header or a name, of which many come again."""
    if len(value) <= TEXT_READ and _SUSPICIOUS.search(value) is None and not values.more:
        return value  # in 1 µs; nearly every path
    return _cached_text(value) if len(value) <= CACHED_LIMIT else text(value)


@lru_cache(maxsize=1024)
def _cached_text(value: str) -> str:
    return text(value)


def message(value: str) -> str:
    """The text of an exception: also without what databases quote in theirs."""
    return text(_DB_VALUES.sub(_without_db_value, value[:TEXT_READ]))


def _without_db_value(found: re.Match[str]) -> str:
    kind = found.lastgroup
    assert kind is not None
    shown = found[kind]
    return shown + (sql_shape(found[0][len(shown) :]) if kind == "line" else MASK)


def source(line: str) -> str:
    """A line of source code with the secret values that are written in it masked.

    ``password = form.password`` says nothing; only what stands in quotes does.
    """
    if '"' not in line and "'" not in line:
        return line
    parts, position, kept = [], 0, 0
    while (found := _NAMED.search(line, position)) is not None:
        position = found.end()
        secret = _VALUE.match(line, position)
        if secret is not None and secret["quoted"] and is_secret(found["name"]):
            parts += [line[kept:position], _masked_value(secret)]
            position = kept = secret.end()
    return mask_values("".join([*parts, line[kept:]]))


def value_of(name: str, value: Any) -> Any:
    """A value that goes by this name: masked, searched for secrets, or as it is.

    A number under a secret name is masked as well; a flag is not.
    """
    if value is None or value is True or value is False:
        return value
    hidden = is_asked_for(name) if name in KEYS else is_secret(name)
    return MASK if hidden else _searched(value, DEPTH)


def _searched(value: Any, depth: int) -> Any:
    # Types are compared, not asked for with isinstance(): a lazy object would evaluate itself.
    kind = type(value)
    if kind is str:
        return short_text(value)
    if kind is dict:
        return {
            key: _searched(each, depth - 1)
            if depth and not (type(key) is str and is_secret(key))
            else MASK
            for key, each in value.items()
        }
    if kind in (list, tuple, set, frozenset):
        return [_searched(each, depth - 1) for each in value] if depth else MASK
    return value


def masked(fields: dict[str, Any]) -> dict[str, Any]:
    """The application's own fields, as they may leave."""
    return {name: value_of(name, value) for name, value in fields.items()}


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


@lru_cache(maxsize=1024)
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
