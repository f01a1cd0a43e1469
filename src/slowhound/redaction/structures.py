"""Names and values that belong together in data: fields, dicts, pairs, name and value objects.

The same rules for what the application sets with ``Context`` and for local variables.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from slowhound.redaction import names, urls
from slowhound.redaction.masking import message, short_text
from slowhound.redaction.name_table import Secrecy
from slowhound.redaction.values import MASK, mask_values

# Containers in each other: what lies deeper is not searched, and masked.
DEPTH = 4
# {"name": "password", "value": "x"}, as forms, headers and parameters are written in JSON.
NAME_KEYS = frozenset(("name", "key", "field", "header", "param", "parameter", "id", "k", "n"))
VALUE_KEYS = frozenset(("value", "val", "values", "content", "default", "data", "v"))
# Of WSGI's environ and of ASGI's scope: a token may stand there under a harmless name.
_QUERIES = frozenset(("QUERY_STRING", "query_string"))
_ADDRESSES = frozenset(("RAW_URI", "REQUEST_URI", "HTTP_REFERER", "HTTP_REFERRER", "Referer"))
# ``Context.set("error", str(exc))``: a database may have said it. Each says more than one word.
SHORTEST_ERROR = 16
# No token is as short as that.
LONGEST_PLAIN = 15
# Digits of the shortest card number.
_CARD_DIGITS = 12


def masked(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that the application has set, as they may leave; all is plain data."""
    return {_shown_name(name): value_of(name, value) for name, value in fields.items()}


@lru_cache(maxsize=1024)
def _shown_name(name: str) -> str:
    own = name.removeprefix(names.NAMESPACE)
    return name if len(own) <= LONGEST_PLAIN else name.removesuffix(own) + mask_values(own)


def value_of(name: str, value: Any) -> Any:
    """A value that the application has set under this name: masked, searched, or as it is."""
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if names.is_secret_field(name) and (
        (kind is not int and kind is not float) or names.may_be_a_number(name)
    ):
        return MASK
    return _searched(value, DEPTH, name)


def hides(name: str, value: Any) -> bool:
    """True when the value of a name that came with data must not be shown.

    Nothing, a flag, and a number under a name in doubt are no secrets.
    """
    secrecy = names.secrecy_of(name)
    if secrecy is Secrecy.HARMLESS or value is None or value is True or value is False:
        return False
    kind = type(value)
    return secrecy is Secrecy.SECRET or (kind is not int and kind is not float)


def names_a_secret(items: Iterable[tuple[Any, Any]]) -> bool:
    """True for the items of an object whose value goes by the name that stands beside it."""
    return any(
        type(key) is str and key in NAME_KEYS and type(value) is str and names.is_secret(value)
        for key, value in items
    )


def is_flag(argument: Any) -> bool:
    """True for an argument of a command that a secret follows: ``--password``."""
    return (
        type(argument) is str
        and len(argument) <= names.NAME_LIMIT
        and argument.startswith("-")
        and "=" not in argument
        and names.is_secret(argument.lstrip("-"))
    )


def text_of(name: Any, text: str) -> str:
    """A text without secrets; one that is part of an address is searched as such."""
    if type(name) is str:
        if name in _QUERIES:
            return urls.query_string(text)
        if name in _ADDRESSES:
            return urls.url(text)
    if len(text) >= SHORTEST_ERROR and " " in text:
        return message(text)
    return short_text(text)


def _searched(value: Any, depth: int, name: str = "") -> Any:
    kind = type(value)
    if kind is str:
        return text_of(name, value)
    if kind is int:
        return value if abs(value) < 10**_CARD_DIGITS else _number(value)
    if kind is dict:
        return _dict(value, depth)
    return _list(value, depth) if kind is list or kind is tuple else value


def _number(value: int) -> Any:
    shown = mask_values(str(value))
    return MASK if MASK in shown else value


def _dict(value: dict[str, Any], depth: int) -> dict[str, Any]:
    named = names_a_secret(value.items())
    return {
        short_text(key): MASK
        if depth <= 0 or hides(key, each) or (named and key in VALUE_KEYS)
        else _searched(each, depth - 1, key)
        for key, each in value.items()
    }


def _list(value: list[Any] | tuple[Any, ...], depth: int) -> Any:
    if depth <= 0:
        return MASK
    shown = []
    after_flag = False
    for each in value:
        hidden = after_flag and type(each) is str
        shown.append(MASK if hidden else _pair(each) or _searched(each, depth - 1))
        after_flag = is_flag(each)
    return shown


def _pair(member: Any) -> list[Any] | None:
    """A member of a list that is a name and its secret value: an item of a dict, a header."""
    if type(member) is not list or len(member) != 2 or type(member[0]) is not str:
        return None
    return [member[0], MASK] if hides(member[0], member[1]) else None
