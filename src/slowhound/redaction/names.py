"""Which names are secret: those of fields, parameters, headers, variables and keys.

A name is taken apart into its words (``apiKey``, ``X-Api-Key`` and ``api_key`` are ``api key``),
so that ``author``, ``monkey`` and ``compass`` are not taken for ``auth``, ``key`` and ``pass``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache


class Secrecy(Enum):
    """What a name says about its value."""

    SECRET = auto()  # is hidden everywhere
    DOUBTFUL = auto()  # where the name came with the data; a field of Context.set is shown
    HARMLESS = auto()


# In locals and in WSGI's environ, where a harmless value is no loss: anywhere in the name, as
# Django does it for its settings, and for more.
ANYWHERE = re.compile(
    r"api|auth|token|key|secret|pass|pwd|signature|cookie|session|credential|card|cvv|cvc|iban"
    r"|ssn|\bpin\b|flames",  # ?flames=TOKEN, and the header Slowhound-Flames
    re.IGNORECASE,
)
NAME_LIMIT = 200
# Of MASK: an entry that begins so is about texts, the others are about names.
OF_VALUES = "value:"

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_SECRET = re.compile(
    r"pass|passwd|pwd|pw|psw|passphrase|passcode|passport|auth|oauth|authorization|credential"
    r"|credentials|cred|creds|cookie|cookies|session|sid|sig|signature|hmac|card|cards|cvv|cvc"
    r"|csc|pan|iban|ssn|pin|otp|totp|jwt|csrf|xsrf|bearer|pem|pkey|mnemonic|key|keys|flames"
)
# As a part of a longer word, as in ``userpassword`` and ``PHPSESSID``.
_PART = re.compile(
    r"password|passwd|passphrase|passcode|secret(?!ar)|token(?!i[sz])|credential|sess(?:ion)?(?:id|key)"
    r"|(?:api|access|private|secret|signing|session|encryption)keys?\b|authorization|signature"
    r"|creditcard|cardn(?:o|um)|cookie"
)
# What kind of key it is not.
_PUBLIC_KEYS = re.compile(
    r"primary|foreign|sort|cache|group|partition|natural|order|row|public|object|dict|index"
)
# ``verification code`` and its kind.
_CODES = re.compile(
    r"auth|verification|activation|security|recovery|backup|confirmation|reset|login|sms|mfa"
)
# About a secret, and none itself: ``token_count``, ``password_changed_at``, ``KeyError``.
_ABOUT_AT_END = re.compile(
    r"count|counts|total|used|limit|size|length|len|age|time|timeout|type|kind|name|names"
    r"|error|errors|exception|warning|failed|invalid|expired|expires|required|missing|valid|ok"
    r"|hits|misses|max|min|ttl|field|fields|form|view|class|backend|backends|model|manager"
    r"|validator|validators|policy|hasher|middleware|enabled|at|on|by|user|group|method"
    r"|provider|scheme|status"
)
_ABOUT_AT_START = re.compile(r"is|has|num|n|max|min|count|total|needs|requires")

_more: list[re.Pattern[str]] = []


def extend(patterns: Iterable[str]) -> None:
    """Names that these regular expressions are found in are secret too; replaces the last ones."""
    global _more
    found = (each for each in patterns if not each.startswith(OF_VALUES))
    _more = [re.compile(each, re.IGNORECASE) for each in found]
    _is_any_secret.cache_clear()


def is_asked_for(name: str) -> bool:
    """True for a name that the setting ``MASK`` has."""
    return any(each.search(name[:NAME_LIMIT]) for each in _more)


def is_secret(name: str) -> bool:
    """True when what is called ``name`` must not be shown, in whatever came with a request."""
    return secrecy_of(name) is not Secrecy.HARMLESS


def secrecy_of(name: str) -> Secrecy:
    """How secret the value of what is called ``name`` is."""
    return Secrecy.SECRET if _is_any_secret(name) else Secrecy.HARMLESS


@lru_cache(maxsize=4096)
def _is_any_secret(name: str) -> bool:
    if is_asked_for(name):
        return True
    name = name[:NAME_LIMIT]
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or _ABOUT_AT_END.fullmatch(words[-1]) or _ABOUT_AT_START.fullmatch(words[0]):
        return False
    return any(_is_secret(word, before) for word, before in zip(words, ["", *words], strict=False))


def _is_secret(word: str, before: str) -> bool:
    if word in ("key", "keys"):
        return _PUBLIC_KEYS.fullmatch(before) is None
    if word in ("code", "codes"):
        return _CODES.fullmatch(before) is not None
    return (_SECRET.fullmatch(word) or _PART.search(word)) is not None


def is_secret_variable(name: str) -> bool:
    """The same for a local variable or a key of the server's environment, more often true."""
    return ANYWHERE.search(name) is not None or is_secret(name)
