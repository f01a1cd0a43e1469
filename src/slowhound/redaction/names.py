"""Decides which names are secret: of fields, parameters, headers, cookies, variables and keys.

``name_table`` has the meaning of a name's words. There are two levels:

- a **set** name is one that the application's code gave a field of its own, with ``Context.set``.
  In doubt its value is shown, because the code's author wants to read it;
- a **found** name came with data: a form field, a parameter, a header, a cookie, a key of a dict, a
  local variable. In doubt its value is hidden.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from slowhound.redaction.name_table import NUMERIC, STEMS, TABLE, Secrecy, Where

NAME_LIMIT = 200  # characters, the last ones
WORDS_LIMIT = 12  # the last ones
# An entry of MASK that begins so is for texts, the others are for names.
OF_VALUES = "value:"
# The prefix of the fields that the application sets, which is no part of their names.
APP_NAMESPACE = "app_"

_WORD = re.compile(
    r"[A-Z]+(?=[A-Z][a-z])\d*|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d++[A-Z]++(?![a-z])|\d+[a-z]*"
    r"|[^\W\dA-Za-z_]+"
)
_MARKS = re.compile(r"[\u0300-\u036f]")  # accents, once separated from their characters
_STEMS = tuple(STEMS.split())
_NO_BLOCK = len(TABLE)


def _phrases(row: str) -> Iterator[tuple[str, ...]]:
    """The phrases of a row of the table, as words."""
    left, plus, right = row.partition("+")
    for one in left.split():
        for other in right.split() if plus else [""]:
            yield tuple(f"{one}_{other}".strip("_").split("_"))


class _Phrases:
    """The phrases for one place of a name, each with the number of its block."""

    def __init__(self, where: Where) -> None:
        self.blocks: dict[tuple[str, ...], int] = {}
        ends: dict[int, list[str]] = {}
        patterns: dict[int, list[str]] = {}
        for block, (_, rows) in enumerate(TABLE):
            for phrase in (each for row in rows if row.where is where for each in _phrases(row[1])):
                if phrase[0].rfind("*") == 0:
                    ends.setdefault(block, []).append(phrase[0][1:])
                elif "*" in phrase[0]:
                    patterns.setdefault(block, []).append(phrase[0].replace("*", r"\w*"))
                else:
                    self.blocks.setdefault(phrase, block)
        self.ends = [(block, tuple(each)) for block, each in ends.items()]
        self.patterns = [(block, re.compile("|".join(each))) for block, each in patterns.items()]
        self.longest = max(map(len, self.blocks))

    def block_of(self, phrase: tuple[str, ...]) -> int:
        """The number of the block with this phrase."""
        return self.blocks.get(phrase, _NO_BLOCK)

    def block_of_word(self, word: str) -> int:
        """The number of the block with a phrase with a ``*`` that fits this word."""
        ended = (block for block, ends in self.ends if word.endswith(ends))
        fitting = (block for block, pattern in self.patterns if pattern.fullmatch(word))
        return min(next(ended, _NO_BLOCK), next(fitting, _NO_BLOCK))


_WHOLE, _FIRST, _LAST, _ANY = map(_Phrases, (Where.WHOLE, Where.FIRST, Where.LAST, Where.ANY))
_NUMERIC = re.compile("|".join(NUMERIC.split()).replace("_", " ").replace("*", r"\w*"))
_more: list[re.Pattern[str]] = []


def extend(patterns: Iterable[str]) -> None:
    """Makes names secret that match one of these patterns; replaces the former patterns."""
    global _more
    found = (each for each in patterns if not each.startswith(OF_VALUES))
    _more = [re.compile(each, re.IGNORECASE) for each in found]
    _secrecy_of.cache_clear()


def is_asked_for(name: str) -> bool:
    """True for a name that the setting ``MASK`` matches."""
    return any(each.search(name[-NAME_LIMIT:]) for each in _more)


def has_more() -> bool:
    """True where ``MASK`` adds names: any name may be secret then."""
    return bool(_more)


def _has_stem(name: str) -> bool:
    lower = name.lower()
    return not name.isascii() or any(stem in lower for stem in _STEMS)


def is_secret(name: str) -> bool:
    """True when the value of a name that came with data must not be shown."""
    return secrecy_of(name) is not Secrecy.HARMLESS


def is_secret_field(name: str) -> bool:
    """True when a field of this name, which the application has set, must not be shown."""
    return secrecy_of(name.removeprefix(APP_NAMESPACE)) is Secrecy.SECRET


def may_be_a_number(name: str) -> bool:
    """True for a secret name whose value may be a number: a PIN, but no token."""
    words = words_of(name)
    return any(map(_NUMERIC.fullmatch, [*words, " ".join(words)]))


def secrecy_of(name: str) -> Secrecy:
    """How secret the value under ``name`` is."""
    # Cut before it is cached: a name may be a key in a client's JSON, megabytes long.
    return _secrecy_of(name if len(name) <= NAME_LIMIT else name[-NAME_LIMIT:])


@lru_cache(maxsize=4096)
def _secrecy_of(name: str) -> Secrecy:
    if is_asked_for(name):
        return Secrecy.SECRET
    if not _has_stem(name):
        return Secrecy.HARMLESS
    words = words_of(name)
    # In ``password2`` the number is no part of the name, in ``s3_key`` it is.
    plain = tuple([word.rstrip("0123456789") or word for word in words])
    while len(plain) > 1 and (plain[-1].isdecimal() or plain[-1] == "v"):
        plain = plain[:-1]  # X-Hub-Signature-256, api_token_v2
    block = min(_NO_BLOCK, *_blocks_of(words), *(_blocks_of(plain) if plain != words else ()))
    return Secrecy.HARMLESS if block == _NO_BLOCK else TABLE[block][0]


def _blocks_of(words: tuple[str, ...]) -> Iterator[int]:
    """The numbers of the blocks that have a matching row."""
    size = len(words)
    yield _WHOLE.block_of(words)
    for length in range(1, min(_FIRST.longest, size - 1) + 1):
        yield _FIRST.block_of(words[:length])
    if size:
        yield _LAST.block_of_word(words[-1])
    for length in range(1, min(_LAST.longest, size) + 1):
        yield _LAST.block_of(words[-length:])
    for start in range(size):
        yield _ANY.block_of_word(words[start])
        for end in range(start + 1, min(start + _ANY.longest, size) + 1):
            yield _ANY.block_of(words[start:end])


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case."""
    name = name[-NAME_LIMIT:]
    if not name.isascii():
        # Composed again: Hangul, and the marks of kana, are no accents.
        plain = _MARKS.sub("", unicodedata.normalize("NFKD", name))
        name = unicodedata.normalize("NFC", plain)
    return tuple([word.lower() for word in _WORD.findall(name)[-WORDS_LIMIT:]])
