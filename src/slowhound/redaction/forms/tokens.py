"""Finds the tokens of ``token_formats`` in a text, in time that grows with the text alone.

Two hundred searches, one for each row, would take 100 µs for a path of 1,000 characters. So there
are two, for the beginnings of all rows. Most begin with a word and a separator: ``ghp_``, ``hvs.``.
Separators are rare: the text is read from its end to its start, from separator to word, which takes
5 µs. The rest of a token is only matched where its beginning was found.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from functools import cache

from slowhound.redaction.forms.token_formats import FORMATS, PLACES, WITHIN, WORDS, rows
from slowhound.redaction.mask import masked

# A text may have been cut within a token. From so many characters on, that would show too much.
CUT_LENGTH = 8

_FORMATS = {each.prefix: each for each in FORMATS}
# No token begins inside a word, except behind an escape: \n, %3D, \u0022.
_ESCAPED = r"(?<=\\[nrtf]{0})|(?<=%[0-9A-Fa-f]{{2}}{0})|(?<=\\u[0-9A-Fa-f]{{4}}{0})"
STARTS = rf"(?:(?<![A-Za-z0-9_]{{0}})|{_ESCAPED})"
_STARTS_BACKWARDS = r"(?:(?![A-Za-z0-9_])|(?=[nrtf]\\)|(?=[0-9A-Fa-f]{2}%)|(?=[0-9A-Fa-f]{4}u\\))"
_IN_WORDS = string.ascii_letters + string.digits + "_-"
_CLASS = re.compile(r"\[[^\]]+\]")


def any_of(words: Iterable[str], start: str = "", before: str = "") -> str:
    """A pattern for all these words, which reads each character of a text once.

    Args:
        words: texts, not patterns.
        start: the pattern behind each, with ``{0}`` for the whole word.
        before: the common beginning of the words.
    """
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[:1], []).append(word[1:])
    shown = [
        re.escape(first) + any_of(behind, start, before + first)
        if first
        else start.format(re.escape(before))
        for first, behind in sorted(rests.items(), reverse=True)  # the longest word first
    ]
    return shown[0] if len(shown) == 1 else f"(?:{'|'.join(shown)})"


# Once behind all words: behind each it took 17 ms at every start.
_BACKWARDS = re.compile(
    any_of(prefix[::-1] for prefix in _FORMATS if not prefix[-1].isalnum()) + _STARTS_BACKWARDS
)
_FORWARDS = re.compile(any_of((prefix for prefix in _FORMATS if prefix[-1].isalnum()), STARTS))
# Quicker for a text without capitals, in which the first characters of the words are frequent.
_IN_SMALL = tuple(each for each in _FORMATS if each[-1].isalnum() and not re.search("[A-Z]", each))
_WITHIN = re.compile(
    "|".join(
        f"{re.escape(middle)}{rest}(?P<row{number}>)"
        for number, (middle, rest, *_) in enumerate(rows(WITHIN))
    ),
    re.ASCII,
)
_MIDDLES = tuple(middle for middle, *_ in rows(WITHIN) if middle[0] != ".")
_BEFORE = {
    f"row{number}": re.compile(rf"(?<![A-Za-z0-9]){before}\Z", re.ASCII)
    for number, (_, _, before, *_) in enumerate(rows(WITHIN))
}
_BEFORE_LENGTH = 40
_PLACE = re.compile(
    f"(?:{'|'.join(re.escape(row[0]) + row[1] for row in rows(PLACES))})"
    r"(?P<secret>[\w/.~@%:=+-]++)",
    re.ASCII,
)


# Each of them contains one of these.
_OF_PLACES = ("hook", "Key=", "sig=", "chat.googleapis", "ifttt", "telegram")


def without_places(text: str) -> str:
    """``text`` with all masked that is secret by its place, as the path of a webhook."""
    is_address = "=" in text or "://" in text
    if is_address and any(each in text for each in _OF_PLACES):
        return masked(text, [found.span("secret") for found in _PLACE.finditer(text)])
    return text


def without_tokens(text: str) -> str:
    """``text`` with all tokens masked that have one of the known formats."""
    text = without_places(text)
    if "." in text or any(each in text for each in _MIDDLES):
        text = masked(text, [span for found in _WITHIN.finditer(text) for span in _around(found)])
    beginnings = []
    if text != text.lower() or any(each in text for each in _IN_SMALL):
        beginnings = [(found.start(), found[0]) for found in _FORWARDS.finditer(text)]
    length = len(text)
    beginnings += [
        (length - found.end(), found[0][::-1]) for found in _BACKWARDS.finditer(text[::-1])
    ]
    return masked(text, _tokens(text, beginnings)) if beginnings else text


def _around(found: re.Match[str]) -> list[tuple[int, int]]:
    """The token with this middle, if there is one."""
    first = max(0, found.start() - _BEFORE_LENGTH)
    before = _BEFORE[found.lastgroup or ""].search(found.string[first : found.start()])
    return [(first + before.start(), found.end())] if before else []


def _tokens(text: str, beginnings: list[tuple[int, str]]) -> list[tuple[int, int]]:
    spans = []
    end = 0
    last_word = _last_word(text)
    for position, prefix in sorted(beginnings):
        if position < end:  # within the last one: else each would be read to its end again
            continue
        whole, cut = _patterns(prefix)
        found = whole.match(text, position + len(prefix))
        if found is not None:
            end = found.end()
        elif _is_cut(text, position + len(prefix), last_word, cut):
            end = len(text)
        else:
            continue
        spans.append((position, end))
    return spans


@cache
def _patterns(prefix: str) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    """The patterns of what follows this beginning, whole and cut off; compiled when needed."""
    rest = _FORMATS[prefix].rest
    kind = _CLASS.match(rest)
    cut = None
    if kind is not None and prefix not in WORDS:
        # Random, unlike the rest of a name: npm_config is no token, npm_cOnfig is.
        cut = re.compile(rf"(?=\D{{0,7}}\d|[a-z]{{0,7}}[A-Z]){kind[0]}{{{CUT_LENGTH}}}", re.ASCII)
    return re.compile(rest, re.ASCII), cut


def _last_word(text: str) -> int:
    """Where the last word of the text begins, before the dots that show that it was cut."""
    return len(text.rstrip(".…").rstrip(_IN_WORDS))


def _is_cut(text: str, position: int, last_word: int, cut: re.Pattern[str] | None) -> bool:
    return position >= last_word and cut is not None and cut.match(text, position) is not None
