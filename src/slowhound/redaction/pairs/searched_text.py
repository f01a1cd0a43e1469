"""Holds what a search for pairs knows of its text: the meaning of names, and what was found."""

from __future__ import annotations

import re

from slowhound.redaction.mask import MASK
from slowhound.redaction.name_table import Secrecy
from slowhound.redaction.names import secrecy_of
from slowhound.redaction.pairs import encoded, links
from slowhound.redaction.pairs.values import Value
from slowhound.redaction.pairs.words import SECOND, is_shown, says_nothing

# Values of one text that are masked one by one; then all of the rest is masked.
TEXT_VALUES_LIMIT = 64
# Times that ``code=`` is checked for being a provider's answer; then it counts as one.
ANSWERS_LIMIT = 8
_WORD_BEFORE = re.compile(r"[ \0]{1,4}(?P<word>[^\W\d_]{1,30})(?![\w.-])")


class Search:
    """The search of one text."""

    def __init__(self, text: str, raw: str) -> None:
        self.text = text
        self.raw = raw  # in lower case
        self.view = view = encoded.view_of(raw)
        self.spans: list[tuple[int, int]] = []
        self.hidden = (0, 0)  # the last value that was found: no names are searched in it
        # A text of an anonymous client is short; a long one may be an error with a long list.
        self.names_left = 16 + len(text) // 32
        self.most = min(12 + len(text) // 100, TEXT_VALUES_LIMIT)
        self.answers = ANSWERS_LIMIT
        self.tags = "<" in view
        self.valued = "val" in view
        self.form = "form-data" in view
        self.options = " -" in view or "--" in view

    def name(self, start: int, end: int) -> str:
        end = max(start, end)
        name = self.view[start:end]
        return name.replace("\0", "") if "\0" in name else self.text[start:end]

    def secrecy(self, start: int, end: int) -> Secrecy:
        name = self.name(start, end).strip("-.")
        secrecy = secrecy_of(name)
        if secrecy is Secrecy.SECRET or links.is_provider_name(name.lower()):
            return Secrecy.SECRET
        if secrecy is Secrecy.DOUBTFUL or name.lower() in SECOND:
            before = _WORD_BEFORE.match(self.text[max(0, start - 40) : start][::-1])
            if before is not None:
                both = secrecy_of(f"{before['word'][::-1]}_{name}")
                return Secrecy.SECRET if both is Secrecy.SECRET else secrecy
        return secrecy

    def before(self, start: int) -> str:
        """The character before a name, without the fill of the view between them."""
        while start > 0 and self.view[start - 1] == "\0":
            start -= 1
        return self.view[start - 1 : start]

    def hide(
        self, value: Value, secrecy: Secrecy, *, prose: bool = False, always: bool = False
    ) -> None:
        shown = self.text[value.start : value.end]
        if not shown or shown == MASK:
            self.hidden = (value.start, value.after) if shown else self.hidden
            return
        doubtful = secrecy is Secrecy.DOUBTFUL
        if not always:
            if is_shown(shown, doubtful=doubtful, prose=prose):
                return
            if not value.quoted and says_nothing(self.view, value.start, value.end):
                return
        self.spans.append((value.start, value.end))
        self.hidden = (value.start, value.after)
