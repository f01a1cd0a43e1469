"""Masks data by its names: fields, dicts, pairs, and objects with a name and a value.

The rules are the same for the fields of ``Context`` and for local variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any

from slowhound.redaction import names, urls
from slowhound.redaction.cuts import PLAIN_WORDS
from slowhound.redaction.mask import MASK
from slowhound.redaction.masking import message, short_text
from slowhound.redaction.name_table import Secrecy
from slowhound.redaction.pairs import words as pair_words
from slowhound.redaction.pairs.validation_errors import input_of_secret
from slowhound.redaction.plain_data import plain_fields
from slowhound.redaction.values import mask_values

# Levels of containers: what lies deeper is not searched, but masked.
SEARCHED_DEPTH = 4
# {"name": "password", "value": "x"}, as forms, headers and parameters are written in JSON; also
# "Name", "ParameterKey", "field_name".
_NAME_KEYS = frozenset(
    (
        *("name", "key", "field", "fieldname", "header", "param", "parameter", "id", "k", "n"),
        *("label", "variable", "var", "attribute", "attr", "property", "setting", "option"),
        *("env", "argument", "arg", "column"),
    )
)
_VALUE_KEYS = frozenset(("value", "val", "values", "content", "default", "data", "v"))
# {"type": "password", "value": "x"}: elements of HTML, and little else.
_TYPE_KEYS = frozenset(("type", "kind"))
_SECRET_TYPES = frozenset(("password", "passwd", "passphrase"))
# In WSGI's environ and ASGI's scope: there may be a token under a harmless name.
_QUERIES = frozenset(("QUERY_STRING", "query_string"))
_ADDRESSES = frozenset(("RAW_URI", "REQUEST_URI", "HTTP_REFERER", "HTTP_REFERRER", "Referer"))
# A part of an address that may have a user and a password.
_HOSTS = frozenset(("netloc",))
PARTS = _QUERIES | _ADDRESSES | _HOSTS
# ``Context.set("error", str(exc))``: it may come from a database. Each has more than one word.
SHORTEST_ERROR = 16
# No token is shorter.
LONGEST_PLAIN_TEXT = 15
# Digits of the shortest card number.
_CARD_DIGITS = 12
_END_OF_NUMBERS = 10**40
# Characters of a name alone, without a value.
_PLAIN = re.compile(r"[\w.-]*")
_WORD = re.compile(r"(?:(?<=_)|\A)[^_]")


def masked(fields: dict[Any, Any]) -> dict[str, Any]:
    """The fields that the application has set, of any types, masked.

    No other thread changes ``fields``.
    """
    plain = plain_fields(fields)
    return {_shown_name(name): value_of(name, value) for name, value in plain.items()}


@lru_cache(maxsize=1024)
def _shown_name(name: str) -> str:
    if not _PLAIN.fullmatch(name):
        return short_text(name)
    # A token may follow any of its words: where the namespace ends is not known.
    for word in islice(_WORD.finditer(name), names.WORDS_LIMIT):
        own = name[word.start() :]
        # Plain words are no token, however they begin: sk_live_mode.
        is_random = PLAIN_WORDS.fullmatch(own) is None
        if len(own) > LONGEST_PLAIN_TEXT and is_random and mask_values(own) != own:
            return name[: word.start()] + mask_values(own)
    return name


def value_of(name: str, value: Any) -> Any:
    """A value that the application has set under this name: masked, searched, or as it is."""
    if value is None:
        return value
    if names.is_asked_for(name) or names.is_asked_for(name.removeprefix(names.APP_NAMESPACE)):
        return MASK
    if _is_nothing(value):
        return value
    if names.is_secret_field(name) and (not _is_number(value) or names.may_be_a_number(name)):
        return MASK
    return _searched(value, SEARCHED_DEPTH, name)


def hides(name: str, value: Any) -> bool:
    """True when the value of a name that came with data must not be shown.

    Empty values, flags, and numbers under a doubtful name are no secrets, unless by ``MASK``.
    """
    secrecy = names.secrecy_of(name)
    if secrecy is Secrecy.HARMLESS or value is None:
        return False
    if names.is_asked_for(name):
        return True
    return not _is_nothing(value) and (secrecy is Secrecy.SECRET or not _is_number(value))


def named_secret(items: Iterable[tuple[Any, Any]]) -> str | None:
    """The secret name in the items of an object that also has its value; None without one."""
    for key, value in items:
        if type(key) is str and type(value) is str:
            last = _last_word(key)
            is_name = last in _NAME_KEYS or (last in _TYPE_KEYS and value.lower() in _SECRET_TYPES)
            if is_name and names.is_secret(value):
                return value
    return None


def hides_beside(name: str | None, key: Any, value: Any) -> bool:
    """True for the value of the name that ``named_secret`` has found."""
    if name is None or type(key) is not str or _last_word(key) not in _VALUE_KEYS:
        return False
    return hides(name, value)


@lru_cache(maxsize=1024)
def _last_word(key: str) -> str:
    words = names.words_of(key)
    return words[-1] if words else ""


def is_flag(argument: Any) -> bool:
    """True for an argument of a command that is followed by a secret: ``--password``."""
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
        if name in _HOSTS:
            return text if "@" not in text else urls.url(f"x://{text}")[4:]
    if len(text) >= SHORTEST_ERROR and " " in text:
        return message(text)
    return short_text(text)


def _searched(value: Any, depth: int, name: str = "") -> Any:
    kind = type(value)
    if kind is str:
        return text_of(name, value)
    if kind is int or kind is float:
        return MASK if is_card(value) else value
    if kind is dict:
        return _dict(value, depth)
    return _list(value, depth) if kind is list or kind is tuple else value


def is_card(value: float) -> bool:
    """True for a number that is secret by its digits; a reader of tables makes floats of cards."""
    # A larger float does not have all of its digits. NaN is not within these limits either.
    if not 10**_CARD_DIGITS <= abs(value) < _END_OF_NUMBERS or value != int(value):
        return False
    return MASK in mask_values(str(int(value)))


def _dict(value: dict[str, Any], depth: int) -> dict[str, Any]:
    named = named_secret(value.items())
    hidden = "input" if "loc" in value and input_of_secret(value) else None
    return {
        short_text(key): _counted(key, each, depth - 1)
        if depth <= 0 or key == hidden or hides(key, each) or hides_beside(named, key, each)
        else _searched(each, depth - 1, key)
        for key, each in value.items()
    }


def _counted(name: str, value: Any, depth: int) -> Any:
    """The mask; under a doubtful name numbers are shown: ``{"tokens": {"prompt": 3}}``."""
    in_doubt = depth > 0 and names.secrecy_of(name) in (Secrecy.DOUBTFUL, Secrecy.LIKELY)
    return _numbers(name, value, depth) if in_doubt else MASK


def _numbers(name: str, value: Any, depth: int) -> Any:
    """True for numbers and flags, without any text."""
    kind = type(value)
    if kind is dict and depth > 0:
        return {
            short_text(key): MASK
            if hides(key, each) and names.secrecy_of(key) is Secrecy.SECRET
            else _numbers(f"{name}_{key}", each, depth - 1)
            for key, each in value.items()
        }
    if kind is list and depth > 0:
        return [_numbers(name, each, depth - 1) for each in value]
    if _is_nothing(value):
        return value
    is_secret = names.secrecy_of(name) is Secrecy.SECRET and names.may_be_a_number(name)
    return _searched(value, depth) if _is_number(value) and not is_secret else MASK


def _is_nothing(value: Any) -> bool:
    return value is None or value is True or value is False


def _is_number(value: Any) -> bool:
    kind = type(value)
    return kind is int or kind is float


def _list(value: list[Any] | tuple[Any, ...], depth: int) -> Any:
    if depth <= 0:
        return MASK
    if (alone := _pair(value)) is not None and pair_words.PLAIN.fullmatch(str(value[1])) is None:
        return alone  # ["password", "x"], but not ["password", "email"]: these are two names
    shown = []
    after_flag = False
    for each in value:
        hidden = after_flag and type(each) is str
        shown.append(MASK if hidden else _pair(each) or _searched(each, depth - 1))
        after_flag = is_flag(each)
    return shown


def _pair(member: Any) -> list[Any] | None:
    """A member of a list that is a name with its secret value: an item of a dict, a header."""
    if type(member) is not list or len(member) != 2 or type(member[0]) is not str:
        return None
    return [member[0], MASK] if hides(member[0], member[1]) else None
