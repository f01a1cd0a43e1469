"""Where a text is cut that may have a secret in it: nobody knows any more what a part of one was.

What is cut before it is searched is cut between words, so that a secret is in it whole or not at
all; numbers of cards and accounts, which may be written in groups, count as one word.
"""

from __future__ import annotations

import re
import string

from slowhound.redaction.mask import MASK

CUT = "..."  # stands for the rest
# How far back a place to cut at is looked for: few secrets are longer.
BACK = 200
# What may stand there as it is: words, which end anywhere.
WORDS = re.compile(r"[a-z._-]*")
_BLANKS = " \t\n\r\v\f"
_SIGNS = "\"'<>,;&(){}[]|\\"
# The first of these that there are; of the last, passwords have some as well.
_TIERS = (_BLANKS, _SIGNS, "/")
_PARTED_BY = "&=?/# "
# Of a client's text that is full of signs so much is shown; those that part words do not count.
DENSE_LIMIT = 40
_NO_SIGNS = dict.fromkeys(map(ord, set(string.punctuation + " ") - set("/._")))
# The beginning of a number in groups, of a card or an account, at the end of a text.
_GROUPS = re.compile(r"(?<![A-Za-z0-9_])[A-Z0-9]{2,4}(?:[ -][A-Z0-9]{1,4}){1,10}[ -]?\Z")
_GROUPS_LENGTH = 50
_LEAST_DIGITS = 4


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
    first = max(len(text) - BACK, 0)
    for signs in _TIERS:
        last = max(text.rfind(each, first) for each in signs) + 1
        if last:
            break
    last = last or first
    return len(text) if WORDS.fullmatch(text, last) else last


def beginning(text: str, limit: int) -> str:
    """What is shown of a client's text that is longer than ``limit``: the first half of that.

    It is a sixth or more of signs where somebody tries to have secrets looked for everywhere, which
    would take 0.3 ms: then even less.
    """
    half = text[: limit // 2]
    signs = len(half) - len(half.translate(_NO_SIGNS))
    return half if signs * 6 < len(half) else half[:DENSE_LIMIT]


def without_rest(shown: str) -> str:
    """A text that was cut, without what may be left of a secret: nobody knows what it was."""
    last = max(map(shown.rfind, _PARTED_BY)) + 1
    if WORDS.fullmatch(shown, last) is None:
        return shown[: _start_of_groups(shown[:last])] + MASK
    start = _start_of_groups(shown)
    return shown if start == len(shown) else shown[:start] + MASK


def _start_of_groups(text: str) -> int:
    first = max(len(text) - _GROUPS_LENGTH, 0)
    found = _GROUPS.search(text[first:])
    if found is None or sum(map(str.isdigit, found[0])) < _LEAST_DIGITS:
        return len(text)
    return first + found.start()
