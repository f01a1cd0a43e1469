"""Masks values behind a secret name in a text: ``password=x``, ``"token": "x"``, and so on.

A search goes once through the text, from stem to stem: each name that may be secret contains one
(``name_table.STEMS``), and most texts have none. Each match takes the rest of the name and what
follows it, so no character is read for two names; what a match means is decided afterwards.
"""

from __future__ import annotations

import re

from slowhound.redaction.forms.tokens import any_of
from slowhound.redaction.mask import MASK, masked
from slowhound.redaction.name_table import STEMS, Secrecy
from slowhound.redaction.names import has_more
from slowhound.redaction.pairs import command_lines, encoded, links, validation_errors
from slowhound.redaction.pairs import prose as pair_prose
from slowhound.redaction.pairs import values as pair_values
from slowhound.redaction.pairs.members import MemberSearch
from slowhound.redaction.pairs.values import Value
from slowhound.redaction.pairs.words import (
    ABOUT_OPTIONS,
    PHRASE,
    SECOND_WORDS,
    is_shown,
)

# Characters of a name that are judged, the last ones.
PAIR_NAME_LIMIT = 200
# Blanks between a separator and its value.
BLANKS_LIMIT = 60
# Also names that have a stem only without their accents, or that are not in the table.
_OTHERS = (
    "contrase пароль 密码 密碼 パスワード 비밀번호"
    " state policy x-amz x-goog googleaccess relay wresult wctx hdn"
)
_STEM = any_of({*STEMS.split(), *_OTHERS.split()})
STEM = re.compile(_STEM)
_BEHIND = (
    rf"[\w.\-\0]*+(?:[ ](?:{SECOND_WORDS})(?![\w-])){{0,2}}"
    r"(?P<close>(?:\[[0-9\0]{0,5}(?=\]))?[\\\0\"'`\])*]{0,40}+)"
    r"(?P<pair>[ \t\0]{0,40}+(?:=>|->|:=|={1,3}|:(?!:)|::(?=[ ])|\uff1a))?"
)
_FOUND = re.compile(rf"(?:{_STEM}){_BEHIND}")
# For names that the setting MASK adds: each name may be one.
_FOUND_ANY = re.compile(rf"[^\W\d]{_BEHIND}")
# A text without any of these has no name with a value.
_SEPARATOR = re.compile(r"[=:\uff1a<>,&%\\]")
# Nor has a sentence without any of these.
_DIGIT = re.compile(r"[0-9]")
_OPTION = re.compile(r"-(?<![^\s'\"]-)")
_LEFT = re.compile(r"[\w.\-\0]*+")
_KEY_ELEMENT = re.compile(
    r"\0*<\0*/\0*(?:\w{1,20}:)?(?:key|name|field|id|param)\0*>"
    r"(?:[\s\0]{0,40}<\0*(?:\w{1,20}:)?\w{1,20}(?:\s[^<>]{0,60})?\0*>){1,2}"
)
_EXPORTED = re.compile(r"(?:[ \t]{0,40}(?:-[ ]|export[ ]|set[ ]|env[ ]|ENV[ ])?[ \t]{0,4})\Z")
_LONG_NAMES = ("seed_phrase", "recovery_phrase", "seed phrase", "recovery phrase")
_LINE_NAMES = ("authorization", "cookie", "cookies", "passphrase", "mnemonic", *_LONG_NAMES)
_QUERY_NAMES = re.compile(r"[?&;#\s]([\w.-]{1,40})=")
_LETTERS = re.compile(r"[a-z ,.!'-]*+")


def mask_named(value: str) -> str:
    """``value`` with each value behind a secret name masked."""
    separated = (
        _SEPARATOR.search(value) is not None
        or ("-" in value and _OPTION.search(value) is not None)
        or (" " in value and _DIGIT.search(value) is not None)
        or pair_prose.may_be_sql(value)
    )
    if not separated and "/" not in value:
        return value
    lower = encoded.lowered(value)
    more = has_more()  # then MASK adds names, which have no stems
    spans = command_lines.passwords_in(value) + links.tokens_of(lower)
    spans += validation_errors.inputs_in(value) + pair_prose.passwords_in_sql(lower)
    if separated and (more or STEM.search(lower) is not None):
        spans += _Search(value, lower).spans_of(_FOUND_ANY if more else _FOUND)
    return masked(value, spans) if spans else value


class _Search(MemberSearch):
    """The search of one text."""

    def spans_of(self, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
        """Where the values of secret names stand."""
        view, at, last = self.view, 0, 0
        while (found := pattern.search(view, at)) is not None:
            start, end = self.hidden
            at = found.end()
            if not start <= found.start() < end and (found["pair"] or self._may_be_more(found)):
                if self.names_left == 0:
                    self.spans.append((found.end(), len(self.text)))
                    break
                self.names_left -= 1
                self._search_at(found, last)
                if len(self.spans) > self.most:
                    self.spans[-1] = (self.spans[-1][0], len(self.text))
                    break
                if found["pair"] and self.hidden[0] <= at + BLANKS_LIMIT:
                    at = max(at, self.hidden[1])
            last = at
        return self.spans

    def _may_be_more(self, found: re.Match[str]) -> bool:
        """True for a name that may have a value although no separator follows it."""
        following = self.view[found.end() : found.end() + 1]
        if '"' in found["close"] or "'" in found["close"]:
            return following == "," or self.valued or self.tags or self.form
        if following in (">", "<"):
            return self.tags
        if following.isspace() and (self.tags or self.options):
            return True
        if self.valued and following in ("&", ";", "\n", "\r", ",", "}", " ", ""):
            return True
        return self._in_sentence(found) is not None

    def _in_sentence(self, found: re.Match[str]) -> Value | None:
        close = found.start("close")
        return pair_prose.value_behind(
            self.view[max(0, found.start() - 12) : close], self.view, found.end()
        )

    def _search_at(self, found: re.Match[str], last: int) -> None:
        view, begin = self.view, found.start()
        left = _LEFT.match(view[max(last, begin - PAIR_NAME_LIMIT) : begin][::-1])
        assert left is not None
        start, end = begin - left.end(), found.start("close")
        following = view[found.end() : found.end() + 1]
        if found["pair"]:
            self._search_behind(found, start, end)
        elif '"' in found["close"] or "'" in found["close"]:
            self.search_beside(found, start, end)
        elif following == ">" or (self.tags and self.is_tag(start)):
            self.search_in_element(found, start, end)
        elif following == "<":
            element = _KEY_ELEMENT.match(view, found.end())
            if element is not None and self.secrecy(start, end) is not Secrecy.HARMLESS:
                self.hide(pair_values.content(view, element.end()), Secrecy.SECRET)
        elif self.text[start] == "-":
            self._search_behind_option(found, start, end)
        elif self.valued and self.is_named_by_key(start):
            self.search_member(found.end(), start, self.secrecy(start, end))
        else:
            self._search_in_sentence(found, start, end)

    def _search_in_sentence(self, found: re.Match[str], start: int, end: int) -> None:
        value = self._in_sentence(found)
        if value is None or pair_prose.is_parsed(self.view[max(0, start - 16) : start]):
            return
        secrecy = self.secrecy(start, end)
        found_text = self.view[value.start : value.end]
        if secrecy is Secrecy.SECRET or (
            secrecy is Secrecy.DOUBTFUL
            and pair_prose.is_key_of_session(self.view[start:end], found_text)
        ):
            self.hide(value, secrecy, always=True)

    def _search_behind(self, found: re.Match[str], start: int, end: int) -> None:
        view, close, at = self.view, found["close"], found.end()
        before = self.before(start)
        pair = found["pair"].strip(" \t\0")
        if pair == ":" and (
            view.startswith("//", at) or (before == "<" and view[at : at + 1] > " ")
        ):
            return  # an address, a namespace
        if pair_prose.names_a_thing(self.text, start, end, at):
            return
        # In a connection string, a value in quotes or braces may have any characters.
        wrapped = before == ";" and view[at : at + 1] in ("'", '"', "{")
        begins = before in ("?", "&", ";", "#") and not wrapped
        query = pair == "=" and begins and not close.strip("])\0")
        secrecy = self.secrecy(start, end)
        if pair == ":" and pair_prose.is_exception(self.text, start, end, at):
            return
        if secrecy is Secrecy.HARMLESS:
            if pair != "=" or not self._is_answer(start, end, at):
                return
            secrecy, query = Secrecy.SECRET, True
        name = view[start:end]
        quoted_name = '"' in close or "'" in close
        if not quoted_name and self._is_header(name, pair, start, at):
            quote = before if before in ('"', "'", "`") else ""
            value = pair_values.rest_of_line(view, at, quote)
            if not self._is_status_line(value):
                self.hide(value, Secrecy.SECRET)
            return
        value = pair_values.value_at(view, self.raw, at, query=query, quoted_name=quoted_name)
        bare = not (quoted_name or value.quoted)
        if bare and view[value.end : value.end + 1] in (",", ";", "|") and self._begins_line(start):
            value = pair_values.to_blank(self.raw, value)
        if secrecy is Secrecy.DOUBTFUL and view[value.start : value.start + 1] == "{":
            return  # its members have names of their own
        prose = not (query or quoted_name or value.quoted or view[value.end : value.end + 1] == "&")
        self.hide(value, secrecy, prose=prose, always=query)

    def _is_header(self, name: str, pair: str, start: int, at: int) -> bool:
        value = self.view[at : at + 30].lstrip(" \t\0")
        if value[:1] in tuple("\"'\\[({<") or value.startswith(MASK):
            return False
        if name.endswith(_LINE_NAMES):
            return True
        return pair == ":" and (
            name.startswith("x-") or ("-" in name and self.view[start - 1 : start] in ("", "\n"))
        )

    def _is_status_line(self, value: Value) -> bool:
        line = self.view[value.start : value.end].strip()
        first = line.split(None, 1)[0] if line else ""
        if is_shown(line, doubtful=False, prose=True):
            return True
        return first.rstrip(",.;:") in PHRASE and _LETTERS.fullmatch(line) is not None

    def _begins_line(self, start: int) -> bool:
        line = self.view.rfind("\n", max(0, start - 60), start) + 1
        if line == 0 and start > 60:
            return False
        return _EXPORTED.match(self.text, line, start) is not None

    def _is_answer(self, start: int, end: int, at: int) -> bool:
        name = self.name(start, end).lower()
        if not links.may_be_answer(name):
            return False
        if self.answers == 0:
            return True
        self.answers -= 1
        before = self.view[max(0, start - 300) : start].split()
        address = "" if not before or self.view[start - 1 : start].isspace() else before[-1]
        behind = self.view[at : at + 600].split(None, 1)
        beside = _QUERY_NAMES.findall(f"&{address}{name}={behind[0] if behind else ''}")
        value = re.split("[&;#\\s]", self.text[at : at + 20], maxsplit=1)[0]
        path = address.partition("?")[0] if "?" in address else ""
        return links.is_answer(name, value, beside, path)

    def _search_behind_option(self, found: re.Match[str], start: int, end: int) -> None:
        """``--password x``, and ``-password x`` of Java's tools."""
        at = found.end()
        value = pair_values.value_at(self.view, self.raw, at, query=False, quoted_name=False)
        if self.view[value.start : value.start + 1] == "-" and not value.quoted:
            return
        if self.text[start + 1 : start + 2] != "-" and end - start < 5:
            return
        secrecy = self.secrecy(start, end)
        found_text = self.view[value.start : value.end]
        if secrecy is not Secrecy.HARMLESS and found_text not in ABOUT_OPTIONS:
            self.hide(value, secrecy, prose=not value.quoted)
