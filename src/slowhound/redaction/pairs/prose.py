"""Finds secrets within sentences: ``password 'x' is too weak``, ``ENV API_TOKEN x``.

No separator shows that a value follows. So only a random text counts: characters and digits mixed,
in quotes also a short one behind a password; and the digits of codes that a person types. Anything
else is a word of the sentence. This also recognises sentences behind a colon.
"""

from __future__ import annotations

import re

from slowhound.redaction.pairs.values import Value
from slowhound.redaction.pairs.words import ALGORITHM, COUNTED, is_random

_VERB = r"(?:is|was|provided|given|supplied|received|sent|entered|used)"
# ``password for bob: x``, ``password of user bob = x``, ``password (again): x``
_OWNER = r"(?:(?:for|of)[ ](?:user[ ])?[\w.@+-]{1,60}[ ]?[:=]|\([a-z ]{1,20}\):)"
_SAID = re.compile(
    rf"(?:(?:[ \t]|\\[nt]){{1,8}}(?:{_OWNER}[ ]{{0,2}}|{_VERB}(?:[ ]|:[ ]?)){{0,2}}|(?=\())"
    r"(?P<open>\(?[bru]{0,2}\\{0,4}(?P<quote>[\"'`])|\()?"
    r"(?P<value>[^\s\"'`()<>{}\[\],;|\\]{3,400}+)"
)
# In SQL this is a keyword, and no name.
_IN_SQL = re.compile(
    r"\bidentified\s{1,4}(?:with\s{1,4}\w{1,40}\s{1,4})?(?:by|as)\s{1,4}(?:password\s{1,4})?"
    r"(?:\\?(?P<quote>['\"])(?P<quoted>[^'\"\n]{1,400})|(?P<bare>[^\s'\";]{1,400}))"
)
_NUMBERED = re.compile(r"[a-z]{3,20}[0-9]{1,3}")  # version12
_SHORT = re.compile(r"(?=[^0-9]{0,40}[0-9])(?=[^a-z]{0,40}[a-z])[^\s]{6,400}")
_LONG = re.compile(r"[a-z0-9]{16}")
# Codes that a person types are digits alone; other numbers behind secrets count or name a thing.
_CODE = re.compile(r"[0-9]{4,8}")
_TYPED = ("pin", "otp", "code", "passcode", "password", "passwd", "pincode")
_CHECK_DIGITS = re.compile(r"[0-9]{3,4}")
_ON_CARD = ("cvv", "cvc", "cvv2", "cvc2", "security code")
_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "passwort", "requirepass", "bindpw")
# Things with numbers like ``v2a``, which people write in prose.
_CALLED = ("ticket", "tickets", "account")
# An address, a path, a file, a pair.
_PLACE = re.compile(
    r"/|[^/]{0,20}://|[^@]{1,100}@[\w-]{1,60}\.|[^=]{1,100}=[^=]"
    r"|[^.]{1,100}\.(?:pem|key|crt|cer|pub|py|json|ya?ml|txt|env|conf|ini|toml|html?|js|csv|gpg)\Z"
)
_PARSED = re.compile(r"(?:at|near|unexpected|expected)[ ](?:a )?\Z")
# ``jwt.InvalidToken: Token is expired``: a class of exceptions, not the name of a value.
_EXCEPTION = re.compile(
    r"(?:[a-z_]\w{0,40}\.){0,10}(?:Bad|Duplicate|Expired|Incorrect|Invalid|Malformed|Mismatching"
    r"|Missing|No|Revoked|Suspicious|Unauthorized|Unknown|Unsupported|Wrong)[A-Z]\w{0,60}"
)
_SENTENCE = re.compile(r" (?:[{\[]|[A-Z]{2,10}: |'?[A-Z]?[a-z]{0,20}'?(?: |\.?(?:\n|\Z)))")
# ``<Token: Token object (7)>``, as Django shows a model.
_OBJECT = re.compile(r" \w{1,60} object \((?:[0-9]{1,19}|None)\)")
_ISSUE = re.compile(r"[ ]{0,4}(?:#?[0-9]{1,8}|[A-Z]{2,10}-[0-9]{1,6})(?![\w.-])")
_LAST_FOUR = re.compile(r"[ ]{1,4}[0-9]{4}(?![\w.-])(?! ?[0-9])")
# arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/db
_ARN = re.compile(r"\barn:[a-z-]{1,20}:[a-z]{1,30}:[a-z0-9-]{0,30}:[0-9]{0,12}:\Z")


def value_behind(name: str, view: str, at: int) -> Value | None:
    """The secret behind ``name`` in a sentence.

    Args:
        name: in lower case, its last words.
        view: the text, see ``encoded``.
        at: where the name ends.
    """
    found = _SAID.match(view, at)
    if found is None:
        return None
    value = found["value"].rstrip(".:!?")
    start = found.start("value")
    if not _is_secret(name, value, quoted=bool(found["open"])):
        return None
    if COUNTED.match(view, start) is not None:
        return None
    return Value(start, start + len(value), bool(found["quote"]), found.end())


def _is_secret(name: str, value: str, *, quoted: bool) -> bool:
    if value.isdigit():
        pattern = _CHECK_DIGITS if name.endswith(_ON_CARD) else _CODE
        return name.endswith(_TYPED + _ON_CARD) and pattern.fullmatch(value) is not None
    if name.endswith(_CALLED) or ALGORITHM.fullmatch(value) or _PLACE.match(value):
        return False
    is_password = name.endswith(_PASSWORDS)
    if is_random(value):
        return is_password or _NUMBERED.fullmatch(value) is None
    return quoted and is_password and _SHORT.fullmatch(value) is not None


def is_key_of_session(name: str, value: str) -> bool:
    """True where ``session x`` is no session of a conference, and none with a UUID."""
    return name.endswith("session") and _LONG.search(value) is not None


def is_parsed(before: str) -> bool:
    """True behind a parser's words: ``unexpected token "x1"``."""
    return _PARSED.search(before) is not None


def may_be_sql(text: str) -> bool:
    """True where there may be a password of a statement."""
    return "identified" in text or "IDENTIFIED" in text


def passwords_in_sql(lower: str) -> list[tuple[int, int]]:
    """``CREATE USER shop IDENTIFIED BY 'x'``, of MySQL, MariaDB and Oracle."""
    if not may_be_sql(lower):
        return []
    return [
        found.span("quoted" if found["quoted"] else "bare")
        for found in _IN_SQL.finditer(lower)
        if found["quoted"] or is_random(found["bare"])
    ]


def is_exception(text: str, start: int, end: int, at: int) -> bool:
    """True for a class of exceptions that is followed by a sentence or one word."""
    is_class = _EXCEPTION.fullmatch(text, start, end) is not None
    return is_class and _SENTENCE.match(text, at) is not None


def names_a_thing(text: str, start: int, end: int, at: int) -> bool:
    """True where the text at ``at``, behind the name, only says which one it is."""
    name = text[start:end]
    if name in ("PWD", "OLDPWD"):  # of a shell: where it is
        return text[at : at + 1] in ("/", "~")
    lower = name.lower()
    if lower.endswith("ticket"):
        return _ISSUE.match(text, at) is not None
    if lower.endswith("card") and _LAST_FOUR.match(text, at) is not None:
        return True
    if text[start - 1 : start] == "<":
        return _OBJECT.match(text, at) is not None
    return lower == "secret" and _ARN.search(text[max(0, start - 100) : start]) is not None
