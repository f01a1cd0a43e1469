"""Finds the end of a value behind a name: of a quotation, a list, a line, a word."""

from __future__ import annotations

import re
from typing import NamedTuple


class Value(NamedTuple):
    """A value's place in a text, without its quotes."""

    start: int
    end: int
    quoted: bool
    after: int  # where the search goes on


_BLANKS = re.compile(r"[ \t\0]{0,60}")
_ANY_BLANKS = re.compile(r"[\s\0]{0,60}")
# An annotation in Python, and the signs with which YAML begins a value in the next line.
_START = re.compile(
    r"(?:\\[tn]){0,4}"
    r"(?:(?:str|bytes|string|secretstr|optional\[str\]|str \| none)[ ]{0,2}=[ ]{0,2})?"
    r"(?:[|>][+-]?[ ]{0,2}\r?\n[ \t]{1,20}|\r?\n[ \t]{0,20}-[ ]{1,4})?"
    r"(?:[bruf]{1,2}(?=[\"']))?(?P<escape>\\{1,16}(?=[\"']))?(?P<quote>\"\"\"|'''|[\"'`])?"
)
# A doubled quote is one of the text, in SQL and CSV.
_BODY = {
    '"': re.compile(r'(?:[^"\\]++|\\.?|"")*', re.DOTALL),
    "'": re.compile(r"(?:[^'\\]++|\\.?|'')*", re.DOTALL),
}
_BRACKETS = re.compile(
    r"""(?P<open>[\[({])|(?P<close>[\])}])|"(?:[^"\\]++|\\.?)*"?|'(?:[^'\\]++|\\.?)*'?""", re.DOTALL
)
_BARE_BRACKETS = re.compile(r"(?P<open>[\[({])|(?P<close>[\])}])")
# Members of one list or dict; one with more is hidden as a whole.
BRACKETS_LIMIT = 200
_REPR = re.compile(r"<[a-z_][\w. -]{0,60}:[^>]*+>?")
_SCHEME = re.compile(r"(?:bearer|basic|digest|token|negotiate|apikey)(?:[ \t]{1,4}|%20)")
_UNQUOTED = re.compile(r"(?:[^\s,;&|)\]}'\"<>\\]++|\\(?![\\\"'nrt]))*")
# In a query string only ``&`` and ``;`` end a value; the address ends at a blank or a quote.
_IN_QUERY = re.compile(r"[^\s&;#'\"<>\\\0]*+")
_TO_BLANK = re.compile(r"[^\s'\"]*+")
_LETTERS = re.compile(r"[a-z]*+")
_CALLED = re.compile(r"[\[({]")
_CONTENT = re.compile(r"[^<]*+")
_CDATA = re.compile(r"[\s\0]{0,40}<!\[cdata\[")
_DIGEST = re.compile(r"digest [a-z]{1,20}=\"")  # quotes within the quotes
_LINE = {quote: re.compile(rf"[^\r\n{quote}]*+") for quote in ("", '"', "'", "`")}


def value_at(view: str, raw: str, at: int, *, query: bool, quoted_name: bool) -> Value:
    """The value that begins behind a separator, at ``at``.

    Args:
        view: the text, see ``encoded``.
        raw: the text in lower case.
        at: where the separator ends.
        query: True for a parameter of a query string.
        quoted_name: the name is in quotes, so that a line may end before the value.
    """
    blanks = _ANY_BLANKS if quoted_name else _BLANKS
    at = blanks.match(view, at).end()  # type: ignore[union-attr]
    encoded = raw[at - 1] != view[at - 1] if at else False
    if query and not encoded:
        return _plain(at, _IN_QUERY.match(raw, at).end())  # type: ignore[union-attr]
    opening = _START.match(view, at)
    assert opening is not None
    at = opening.end()
    if opening["quote"]:
        return _quotation(view, at, opening["escape"] or "", opening["quote"])
    first = view[at : at + 1]
    if first and first in "[({":
        end = bracket_end(view, at, plain=not quoted_name or view[at + 1 : at + 2] != "\\")
        return _plain(at, end)
    if first == "<":
        found = _REPR.match(view, at)
        return _plain(at, at if found is None else found.end())
    return _word(view, raw, at, encoded=encoded)


def _plain(start: int, end: int) -> Value:
    return Value(start, end, False, end)


def _word(view: str, raw: str, at: int, *, encoded: bool) -> Value:
    scheme = _SCHEME.match(view, at)
    begin = at if scheme is None else scheme.end()
    text = view if encoded else raw
    end = _UNQUOTED.match(text, begin).end()  # type: ignore[union-attr]
    if end == begin and text is raw:
        end = _UNQUOTED.match(view, begin).end()  # type: ignore[union-attr]
    called = _CALLED.search(view, begin, end)
    if called is not None:
        end = max(end, bracket_end(view, called.start(), plain=True))
        return _plain(at, _LETTERS.match(view, end).end())  # type: ignore[union-attr]
    return _plain(at, end if end > begin else at)


def to_blank(raw: str, value: Value) -> Value:
    """A value in a line of settings, where commas and similar signs do not end it."""
    end = _TO_BLANK.match(raw, value.start).end()  # type: ignore[union-attr]
    return value if end < value.end or "=" in raw[value.end : end] else _plain(value.start, end)


def _quotation(view: str, at: int, escape: str, quote: str) -> Value:
    body = None if escape else _BODY.get(quote)
    if body is not None:
        end = body.match(view, at).end()  # type: ignore[union-attr]
        closing = 1
    else:
        closing = len(escape + quote)
        end = view.find(escape + quote, at)
        # A quote with more backslashes before it is within the quotation.
        while escape and end > 0 and view[end - 1] == "\\":
            end = view.find(escape + quote, end + 1)
        end = len(view) if end < 0 else end
    after = min(end + closing, len(view))
    while at < end and view[at] == "\0":
        at += 1
    while at < end and view[end - 1] == "\0":
        end -= 1
    return Value(at, end, True, after)


def bracket_end(view: str, at: int, *, plain: bool) -> int:
    """The end of the list, dict or call that begins at ``at``; without one the text's end."""
    depth = 0
    pattern = _BRACKETS if plain else _BARE_BRACKETS
    for number, found in enumerate(pattern.finditer(view, at)):
        if found["open"]:
            depth += 1
        elif found["close"]:
            depth -= 1
            if depth == 0:
                return found.end()
        if number == BRACKETS_LIMIT:
            break
    return len(view)


def rest_of_line(view: str, at: int, quote: str) -> Value:
    """The value of a header, which may be in quotes together with its name."""
    at = _BLANKS.match(view, at).end()  # type: ignore[union-attr]
    if quote == '"' and _DIGEST.match(view, at) is not None:
        quote = ""
    return _plain(at, _LINE[quote].match(view, at).end())  # type: ignore[union-attr]


def content(view: str, at: int) -> Value:
    """The text between two tags, the first of which ends at ``at``."""
    while view[at : at + 1] == "\0":
        at += 1
    cdata = _CDATA.match(view, at)
    if cdata is not None:
        end = view.find("]]>", cdata.end())
        return _plain(cdata.end(), len(view) if end < 0 else end)
    end = _CONTENT.match(view, at).end()  # type: ignore[union-attr]
    # ``Usage: login <user> <password> [options]`` is no element.
    is_open = view[end : end + 2] != "</" and (view[at : at + 1].isspace() or end == at)
    return _plain(at, at if is_open else end)
