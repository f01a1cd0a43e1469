"""Cuts texts where no secret is torn apart, because a part of one is not recognised any more.

A text that is cut before it is searched is cut between words, so that a secret is in it whole or
not at all. Numbers of cards and accounts, which may be written in groups, count as one word.
"""

from __future__ import annotations

import re
import string

from slowhound.redaction.mask import MASK

CUT = "..."  # replaces the rest
# How far back a place for the cut is searched: few secrets are longer.
SEARCHED_BACK = 200
# Characters of plain words, which may be cut anywhere.
PLAIN_WORDS = re.compile(r"[a-z._-]*")
_BLANKS = " \t\n\r\v\f"
_SIGNS = "\"'<>,;&(){}[]|\\"
# Where to cut: the first kind of these that is there. Passwords may contain the last kind.
_TIERS = (_BLANKS, _SIGNS, "/")
_PARTED_BY = "&=?/# "
# Characters shown of a client's text that is full of signs; signs between words do not count.
DENSE_LIMIT = 40
_NO_SIGNS = dict.fromkeys(map(ord, set(string.punctuation + " ") - set("/._")))
# The beginning of a grouped number, of a card or an account, at the end of a text.
_GROUPS = re.compile(r"(?<![A-Za-z0-9_])[A-Z0-9]{2,4}(?:[ -][A-Z0-9]{1,4}){1,10}[ -]?\Z")
_GROUPS_LENGTH = 50
_LEAST_GROUP_DIGITS = 4


def cut(text: str, limit: int) -> str:
    """At most the first ``limit`` characters, without what may be the beginning of a secret."""
    if len(text) <= limit:
        return text
    kept = text[:limit]
    if text[limit] not in _BLANKS:
        kept = kept[: _end_of_words(kept)]
    return kept[: _start_of_groups(kept)]


def _end_of_words(text: str) -> int:
    """Where the last word begins that may be a part of a secret."""
    first = max(len(text) - SEARCHED_BACK, 0)
    for signs in _TIERS:
        last = max(text.rfind(each, first) for each in signs) + 1
        if last:
            break
    last = last or first
    return len(text) if PLAIN_WORDS.fullmatch(text, last) else last


def beginning(text: str, limit: int) -> str:
    """What is shown of a client's text that is longer than ``limit``: the first half of that.

    Where a sixth of it or more are signs, a client tries to make the search for secrets slow, which
    would take 0.3 ms: then even less is shown.
    """
    half = text[: limit // 2]
    signs = len(half) - len(half.translate(_NO_SIGNS))
    return half if signs * 6 < len(half) else half[:DENSE_LIMIT]


def without_rest(shown: str) -> str:
    """A text that was cut, without what may be the rest of a secret."""
    last = max(map(shown.rfind, _PARTED_BY)) + 1
    if PLAIN_WORDS.fullmatch(shown, last) is None:
        return shown[: _start_of_groups(shown[:last])] + MASK
    start = _start_of_groups(shown)
    return shown if start == len(shown) else shown[:start] + MASK


def _start_of_groups(text: str) -> int:
    first = max(len(text) - _GROUPS_LENGTH, 0)
    found = _GROUPS.search(text[first:])
    if found is None or sum(map(str.isdigit, found[0])) < _LEAST_GROUP_DIGITS:
        return len(text)
    return first + found.start()
