"""Masks values that are secret under any name: tokens, keys, cards, passwords in addresses.

Everything here takes time in proportion to the text. No pattern requires something behind an
unbounded repeat in which it can begin again: it always matches all that could belong to a secret,
and Python judges the match. ``sql.literals`` says why no group is possessive.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

from slowhound.redaction.forms.keys import without_keys
from slowhound.redaction.forms.numbers import without_numbers
from slowhound.redaction.forms.tokens import STARTS, any_of, without_tokens
from slowhound.redaction.mask import MASK, masked
from slowhound.redaction.names import OF_VALUES
from slowhound.redaction.pairs.credentials import (
    without_credentials,
    without_oracle_passwords,
    without_passwords,
)

# JSON in base64, and up to four more parts, of which some may be empty: JWT, JWE (RFC 7515, 7516).
_JWT = re.compile(any_of(("eyJ", "ewog"), STARTS) + r"[\w-]*+(?:\.[\w-]*+){0,4}")
# Django's: a link that resets a password, and texts signed by its Signer.
_RESET = re.compile(
    r"-(?=[0-9a-f]{32}(?!\w))(?:(?<![0-9A-Za-z_][0-9a-z]{5}-)(?<=[0-9a-z]{5}-)"
    r"|(?<![0-9A-Za-z_][0-9a-z]{6}-)(?<=[0-9a-z]{6}-)|(?<![0-9A-Za-z_][0-9a-z]{7}-)(?<=[0-9a-z]{7}-))"
    r"[0-9a-f]{32}"
)
_SIGNED = re.compile(r":[A-Za-z0-9]{5,8}:[\w-]{43}(?![\w-])")
_IN_SIGNED = string.ascii_letters + string.digits + "_.=-"
# More than a cookie can hold (RFC 6265).
_SIGNED_LENGTH = 4096
# Stored passwords, of Django, of crypt(3), of LDAP and of PostgreSQL.
_HASH = re.compile(
    r"(?<!\w)(?:(?:pbkdf2_\w{1,20}+|argon2\w{0,4}+|bcrypt\w{0,10}+|scrypt|md5|SCRAM-SHA-256)\$[^\s'\"]{8,}+"
    r"|\$(?:2[abxy]?|[1567y]|gy|apr1|sha1|P|H|S|argon2\w{0,3}+|scrypt|pbkdf2[\w-]{0,10}+)\$"
    r"[\w./$=,+-]{20,}+)"
)
_LDAP = re.compile(r"\{S?(?:SHA(?:256|384|512)?|MD5)\}[A-Za-z0-9+/]{20,}+=*+")

# Of the setting MASK.
more: list[re.Pattern[str]] = []


def extend(patterns: Iterable[str]) -> None:
    """Makes secret what the ``value:`` entries of ``MASK`` match; replaces the former ones."""
    global more
    found = [each.removeprefix(OF_VALUES) for each in patterns if each.startswith(OF_VALUES)]
    more = [re.compile(each) for each in found]


def mask_values(text: str) -> str:
    """``text`` with each value masked that is secret by its form."""
    for each in more:
        text = each.sub(MASK, text)
    # Nearly every text has none of these, and a path is searched in each request.
    text = without_keys(text)
    text = without_tokens(text)
    if "eyJ" in text or "ewog" in text:
        text = _JWT.sub(_without_jwt, text)
    if "://" in text and "@" in text:
        text = without_passwords(text)
    if "oracle:" in text:
        text = without_oracle_passwords(text)
    if "-" in text:
        text = _RESET.sub(MASK, text)
    if ":" in text:
        text = masked(text, _signed(text))
    if "$" in text:
        text = _HASH.sub(MASK, text)
    if "{" in text:
        text = _LDAP.sub(MASK, text)
    if " " in text:
        text = without_credentials(text)
    return without_numbers(text)


def _without_jwt(found: re.Match[str]) -> str:
    first, *parts = found[0].split(".")
    if len(first) < 8 or not parts:
        return found[0]  # JSON in base64, or the name of a file
    is_token = parts[0].startswith("eyJ") or len(parts[0]) >= 5 or any(parts[1:2])
    return MASK if is_token else found[0]


def _signed(text: str) -> list[tuple[int, int]]:
    spans, end = [], 0
    for found in _SIGNED.finditer(text):
        before = text[max(end, found.start() - _SIGNED_LENGTH) : found.start()]
        payload = len(before) - len(before.rstrip(_IN_SIGNED))
        if payload >= 2:
            end = found.end()
            spans.append((found.start() - payload, end))
    return spans
