"""The words that are no secrets although they follow a secret name, and words that name a name.

Behind a **secret** name only a value of these tables is shown, which describes the secret. Behind a
**doubtful** one a plain word, an identifier or a path is shown as well, in prose.
"""

from __future__ import annotations

import re

# The whole value is one of these: ``auth: required``, ``"token": "expired"``, ``password=None``.
_STATUS = (
    "required optional mandatory missing invalid valid expired none null nil undefined true false"
    " yes no on off disabled enabled unknown empty blank unset set unspecified default not denied"
    " failed failure fail error errors ok okay wrong incorrect mismatch mismatched mismatching"
    " rejected accepted revoked refused forbidden unauthorized unauthenticated absent present"
    " provided given found created changed unchanged updated refreshed rotated deleted removed"
    " reset hidden masked redacted filtered omitted protected encrypted hashed malformed corrupt"
    " corrupted bad duplicate duplicated unused used inactive active pending locked blocked"
    " unavailable available unsupported supported deprecated ignored skipped verified unverified"
    " checked unchecked confirmed unconfirmed exceeded truncated ambiguous undecodable unreadable"
    " insufficient inherited unlimited never always n/a na todo tbd ... eof include omit"
)
STATUS = frozenset(_STATUS.split())
# ``Authorization: Bearer``, with nothing behind it.
SCHEMES = frozenset(("bearer", "basic", "digest", "negotiate"))
# The first of several plain words: ``password: must be at least 8 characters``.
_PHRASE = (
    "this minimum maximum must may might is was are has have does do did should can cannot can't"
    " couldn't could will won't doesn't isn't wasn't didn't needs need too at only enter ensure"
    " please contains expected got use uses"
)
PHRASE = STATUS | frozenset(_PHRASE.split())
# Placeholders for a value.
PLACEHOLDER = re.compile(
    r"[?*.x_-]+|%s|%\(\w{1,50}\)s|\$\{?\w{1,50}\}?|:[a-z_]{1,50}|\{\{?[ ]?[\w.]{0,50}[ ]?\}?\}"
    r"|\[\]|\(\)|<[a-z_][a-z_ -]{0,50}>|\[[a-z_ -]{1,30}\]|\([a-z_]{1,30}\.[ewi][0-9]{3}\)"
)
# ``PIN: 3 attempts left``
COUNTED = re.compile(
    r"[0-9]{1,4}[ ](?:attempts?|tries|try|characters?|chars|digits?|bytes|bits|seconds?|minutes?"
    r"|hours?|days?|weeks?|times?|remaining|left|more|items?|keys?|tokens?|cards?|sessions?|of)\b"
)
# One word, in a case that people write, and not the mixed case of a random text.
_WORD = r"(?:[A-Z]?[a-z]{1,30}(?:[A-Z][a-z]{1,30}){0,4}|[A-Z]{1,12})"
PLAIN = re.compile(rf"/?{_WORD}(?:[/._-](?:{_WORD}|[0-9]{{1,8}})){{0,20}}/?")
# A small number, or a quantity, but no PIN.
ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[tT ][0-9:.]{4,15}(?:[zZ]|[+-][0-9:]{2,6})?)?")
# Too short for a secret.
_TINY = re.compile(r"[0-9]{1,2}")
# Characters and digits that are a name: ``signature: sha256``.
ALGORITHM = re.compile(
    r"(?:hmac|pbkdf\d?|secp|sect|prime|brainpoolp|ed|curve|x|sha|md|aes|rsa|[rhep]s|base|pkcs)"
    r"[-_]?\d{1,4}(?:[a-z]\d|url|[-_]?(?:sha|hs|rs|cbc|gcm|ecb)[-_]?\d{0,3})?"
)
SMALL = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?(?:ms|s|kb|mb|%)?")
# In ``('password', 'email')`` these are the next field.
_FIELD = "email username user name id login phone code type value url"
FIELD = frozenset(_FIELD.split())

# ``the --password option``
_ABOUT = "option options flag argument arg parameter switch and or for to"
ABOUT_OPTIONS = frozenset(_ABOUT.split())

# Second words of names of several words: ``card number: ``, ``session id = ``.
SECOND_WORDS = (
    "number|no|nr|id|key|code|codes|token|phrase|hash|value|secret|string|data|security|card"
    "|account|insurance|header|cookie"
)
# Words that are secret behind certain words: ``api key: ``, ``security code: ``.
_SECOND = "key keys code codes number link phrase"
SECOND = frozenset(_SECOND.split())

# Keys whose value is a name: ``"name": "password"``, ``<entry key='password'>``.
NAME_KEY = re.compile(
    r"(?<![a-z0-9])(?:[a-z]{0,12}_)?(?:name|key|field|fieldname|param|parameter|label|header|id|k|n"
    r"|variable|var|attribute|attr|property|prop|option|setting|env|argument|arg|column|field)"
    r"[\0\\\"'`]{0,24}[ \t\0]{0,12}(?:=>|[:=])[ \t\0]{0,12}[brfu]{0,2}[\0\\\"'`]{0,24}\Z"
)
VALUE_KEY = re.compile(r"val(?:ue)?s?[a-z_]{0,10}[\0\\\"'`]{0,24}[\s\0]{0,12}(?:=>|[:=])(?![:=])")


# Keys of a list of errors.
ERRORS_LIMIT = 600
_SENTENCE = re.compile(r"\.['\"]|ErrorDetail\(")
_OPENED = "the your a no password passwords object token session card length shorter longer select"
_OPENINGS = frozenset(_OPENED.split())


def is_shown(value: str, *, doubtful: bool, prose: bool) -> bool:
    """True for a value behind a secret name that gives nothing away.

    Args:
        value: without its quotes.
        doubtful: the name may also be one of something else.
        prose: the text is no query string, form, header or other data.
    """
    if len(value) > (ERRORS_LIMIT if value[:1] == "[" else 200):
        return False
    plain = value.strip(" \t\r\n\0[](){}'\"`\\") if value[:1] in "[(" else value.strip(" \t\0")
    plain = plain.rstrip(".,!?:;") or plain
    lower = plain.lower()
    is_mark = len(plain) < 4 and not any(map(str.isalnum, plain))
    if is_mark or lower in STATUS or lower in SCHEMES:
        return True
    if prose and (_TINY.fullmatch(plain) or ALGORITHM.fullmatch(lower)):
        return True
    odd = lower[0] == "x" or not value[0].isalnum()
    if odd and (PLACEHOLDER.fullmatch(lower) or PLACEHOLDER.fullmatch(value.strip("\0").lower())):
        return True
    if doubtful and prose and _is_plain(plain):
        return True
    is_list = value[:1] == "[" and _SENTENCE.search(value) is not None
    return " " in lower and _is_phrase(lower, is_list=is_list)


def _is_plain(value: str) -> bool:
    return any(each.fullmatch(value) for each in (PLAIN, SMALL, ISO_DATE))


def says_nothing(lower: str, start: int, end: int) -> bool:
    """True for a word without quotes whose sentence goes on: ``PIN: 3 attempts left``."""
    if COUNTED.match(lower, start) is not None:
        return True
    goes_on = lower[end : end + 1] == " " and lower[end + 1 : end + 2].isalnum()
    return goes_on and lower[start - 2 : start] == ": " and lower[start:end] in PHRASE


def _is_phrase(lower: str, *, is_list: bool) -> bool:
    first, *others = _ERROR.sub(" ", lower).split() or [""]
    if not others or not (first in PHRASE or (is_list and first in _OPENINGS)):
        return False
    return all(_PHRASED.fullmatch(each) for each in others)


# The parts of messages of Django and its REST framework.
_ERROR = re.compile(
    r"""errordetail\(string=['"]|['"], code=['"][a-z_]{1,30}(?:['"]\)?,?)?"""
    r"""|\{?['"]?message['"]: ['"]|pk ['"][0-9]{1,19}['"] - """
    r"""|['"], ['"]code['"]: ['"][a-z_]{0,30}(?:['"]\}?,?)?|['"], ['"]"""
)
_PHRASED = re.compile(
    r"[a-z'\u2019-]{1,20}[.,;:!?')\"]{0,4}|[0-9]{1,3}[.,)]?|code='[a-z_]{1,30}'?\)?"
)


_GROUPS = re.compile(r"[a-z0-9]{8,400}+")
_MIXED = re.compile(r"(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{8,400}+")


def is_random(lower: str) -> bool:
    """True for what no person writes: 8 or more characters, with digits among them."""
    return any(map(_MIXED.fullmatch, _GROUPS.findall(lower)))
