"""Finds values of quoted names and of elements: tuples, name/value objects, forms, XML."""

from __future__ import annotations

import re

from slowhound.redaction.name_table import Secrecy
from slowhound.redaction.pairs import encoded
from slowhound.redaction.pairs import values as pair_values
from slowhound.redaction.pairs.searched_text import Search
from slowhound.redaction.pairs.values import Value
from slowhound.redaction.pairs.words import FIELD, NAME_KEY, VALUE_KEY

# Characters between the name and the value of a name/value object.
OBJECT_LIMIT = 2000
PAIR_MEMBERS_LIMIT = 300

_PREFIX = re.compile(r"[\0\\\"'`]*+(?P<bytes>[bruf]{0,2})[\s\0]{0,40}(?P<char>.?)", re.DOTALL)
_OUTER = re.compile(r"[\s\0]{0,40}(?P<char>.?)", re.DOTALL)
_NEXT = re.compile(r"[\s\0]{0,40},[\s\0]{0,40}")
_LAST = re.compile(r"[\s\0]{0,40},?[\s\0]{0,40}[)\]}]")
_TAG = re.compile(r"(?:\0*:[\w.-]{0,40}+)?\0*<")
_TAG_END = re.compile(r"[^<>]{0,400}+>")
_NESTED = re.compile(
    r"(?:[\s\0]{0,20}<(?:\w{1,20}:)?(?:val|value|string)(?:\s[^<>]{0,40})?\0*>){0,2}"
)
# ``user[password]`` and ``/shop/db/password``: what the last name belongs to.
_PARENT = re.compile(r"(?:[\w.-]{1,40}\0*\[\0*|/(?:[\w.-]{1,30}/){0,4})\Z")


class MemberSearch(Search):
    """The search at names that no separator follows."""

    def is_named_by_key(self, start: int) -> bool:
        """True for the value of ``"name": ``."""
        if self.before(start) in ("[", "/"):
            parent = _PARENT.search(self.view, max(0, start - 60), start)
            start = start if parent is None else parent.start()
        first = max(0, start - 60)
        lead = self.view[first:start].rstrip("\0\\\"'` \tbruf")
        return lead[-1:] in ("=", ":", ">") and NAME_KEY.search(self.view, first, start) is not None

    def search_beside(self, found: re.Match[str], start: int, end: int) -> None:
        """Searches at a quoted name: of a tuple, arguments, an object, an attribute, a form."""
        view = self.view
        option = self.text[start] == "-" if start < len(self.text) else False
        if self.is_named_by_key(start):
            secrecy = self.secrecy(start, end)
            if secrecy is Secrecy.HARMLESS:
                return
            quote = end + re.search("[\"']", found["close"]).end()  # type: ignore[union-attr]
            part = encoded.part_of_form(view, quote) if self.form else None
            if part is not None:
                self.hide(Value(*part, True, part[1]), secrecy, always=True)
            elif not (self.valued and self.search_member(found.end(), start, secrecy)):
                self.search_in_element(found, start, end, is_tag=True)
            return
        comma = _NEXT.match(view, found.end())
        if comma is None or view[comma.end() : comma.end() + 1] in ("(", "[", "{"):
            return
        if not (option or self._is_in_pair(start)):
            return
        value = pair_values.value_at(view, self.raw, comma.end(), query=False, quoted_name=True)
        is_last = _LAST.match(view, value.after) is not None
        known = view[value.start : value.end] in FIELD and not option
        if (option or is_last) and not known and view[value.start : value.start + 1] != "-":
            secrecy = self.secrecy(start, end)
            if secrecy is not Secrecy.HARMLESS:
                self.hide(value, secrecy)

    def _is_in_pair(self, start: int) -> bool:
        """True in ``('password', 'x')`` and ``[['password', 'x']]``, not in a list of names."""
        lead = self.view[max(0, start - 100) : start][::-1]
        prefix = _PREFIX.match(lead)
        assert prefix is not None
        if prefix["char"] == "(" or (prefix["char"] == "[" and prefix["bytes"] == "b"):
            return True
        if prefix["char"] != "[":
            return False
        outer = _OUTER.match(lead, prefix.end())
        return outer is not None and outer["char"] in ("[", ",")

    def search_member(self, at: int, start: int, secrecy: Secrecy) -> bool:
        """Hides the value of ``{"name": "password", "value": "x"}``, before or after the name."""
        if secrecy is Secrecy.HARMLESS:
            return True
        view = self.view
        key = VALUE_KEY.search(view, at, at + PAIR_MEMBERS_LIMIT)
        if key is None or any(mark in view[at : key.start()] for mark in "{}<>"):
            first = max(0, start - OBJECT_LIMIT)
            first = max(first, *(view.rfind(mark, first, start) for mark in ("{", "}", "<", ">")))
            key = None
            for key in VALUE_KEY.finditer(view, max(0, first), start):  # noqa: B007
                pass
        if key is None:
            return False
        query = "&" in (self.before(key.start()), view[at : at + 1])
        value = pair_values.value_at(view, self.raw, key.end(), query=query, quoted_name=not query)
        hidden = self.hidden
        self.hide(value, secrecy, always=query)
        if value.start < start:
            self.hidden = hidden
        return True

    def is_tag(self, start: int) -> bool:
        return _TAG.match(self.view[max(0, start - 60) : start][::-1]) is not None

    def search_in_element(
        self, found: re.Match[str], start: int, end: int, *, is_tag: bool = False
    ) -> None:
        if not is_tag and not self.is_tag(start):
            return
        closed = _TAG_END.match(self.view, found.end())
        if closed is None or self.view[closed.end() - 2] == "/":
            return
        secrecy = self.secrecy(start, end)
        if secrecy is Secrecy.HARMLESS:
            return
        if is_tag and self.view[max(0, start - 8) : start].rstrip("\0\"'`\\").endswith(" id="):
            return  # an element of a page
        at = closed.end()
        if is_tag:
            at = _NESTED.match(self.view, at).end()  # type: ignore[union-attr]
        self.hide(pair_values.content(self.view, at), secrecy)
