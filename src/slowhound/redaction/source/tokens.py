"""Splits a line of source into tokens, and masks the contents of literals and comments.

It uses no parser: Python's own would break one of the application's, see ``docs/risks.md``, and a
file may contain anything. Each pattern matches what is there and goes on, in time proportional to
the line.
"""

from __future__ import annotations

import re

from slowhound.redaction.mask import MASK
from slowhound.redaction.pairs.search import mask_named
from slowhound.redaction.sql.columns import without_secret_columns

TOKEN = re.compile(
    r"""[ \t\f\r]*+(?:(?P<string>[bBrRuUfFtT]{0,2}(?:\"{3}|'{3}|["']))"""
    r"""|(?P<name>[^\W\d]\w*+(?:\.[^\W\d]\w*+)*)|(?P<number>[0-9][\w.]*+)"""
    r"""|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comment>\#[^\n]*+)|(?P<goes_on>\\\r?\n)"""
    r"""|(?P<sign>:=|[=!<>]=|->|(?:\*\*|//|>>|<<|[-+*/%&|^@])=|[^ \t\f\r]|\Z))"""
)
BODIES = {
    quote: re.compile(pattern, re.DOTALL)
    for quote, pattern in {
        "'": r"(?:[^'\\\n]++|\\.)*",
        '"': r'(?:[^"\\\n]++|\\.)*',
        "'''": r"(?:[^'\\]++|\\.|'(?!''))*",
        '"""': r'(?:[^"\\]++|\\.|"(?!""))*',
    }.items()
}
# Begins a statement at the beginning of a line, outside of literals, even in an open bracket.
_STATEMENT = re.compile(
    r"[ \t]*+(?:def|class|return|raise|while|try|except|finally|elif|with|assert|del|global"
    r"|nonlocal|pass|break|continue|import)\b(?!\s*+[=.,)\]}])"
)
IS_KEY = re.compile(r"\s{0,20}:(?!=)")
ENDS_INDEX = re.compile(r"\s{0,20}\]")
IS_ASSIGNED = re.compile(r"[ \t]{0,20}=(?!=)")
IS_LITERAL = re.compile(r"[ \t]{0,20}[bBrRuUfFtT]{0,2}[\"']")
COMPARED = re.compile(
    r"\s{0,20}(?P<by>==|!=|,)\s{0,20}(?P<name>[^\W\d]\w{0,100}(?:\.\w{1,100}){0,5})"
    r"(?:\[[\"'](?P<key>[\w.-]{1,60})[\"']\])?"
)
NAME = re.compile(r"(?P<dashes>-{0,2})(?P<name>[A-Za-z_][\w.\-]{0,60})")
# ``("password", "x")``, and the first of two on lines of their own.
IS_PAIR = re.compile(
    r"""\s{0,20},\s{0,20}(?:\Z|[bBrRuUfF]{0,2}(?:"[^"\n]*"|'[^'\n]*')\s{0,20},?\s{0,20}\))"""
)
# A key as text: its lines contain nothing else, but lines of other literals may be beside it.
_BEGINS, _ENDS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"), "-----END "
_OF_KEY = re.compile(
    r"\s*+(?:\#|[bBrRuUfF]{0,2}[\"']|[A-Za-z0-9+/=]{1,76}\s*+\Z|[\w-]{1,40}+: |\Z)"
)
_TEXT_OF_KEY = re.compile(r"\s*+(?:-----|[A-Za-z0-9+/=]{1,76}\s*+\Z|[\w-]{1,40}+: )")
_ALONE = re.compile(
    r"""\s*+\#?[ \t]*+[bBrRuUfF]{0,2}["']{0,3}(?P<run>[A-Za-z0-9+/]*+={0,2})"""
    r"""(?:\\[nr]){0,2}["']{0,3}[\s,)+\]\\]*+\Z"""
)
_SHORTEST_ALONE = 40
# In a text for people or a program: placeholders, ``name:`` before prose, and a call or an index in
# quoted code.
_PUT_IN = (
    r"""["']?(?:%(?:\(\w{1,60}\))?[sdrfgix](?![0-9A-Za-z])|\{[\w.!:\[\]<>]{0,40}\})["']?"""
    r"""|:[ ]{1,4}(?!(?i:bearer|basic|token|digest|negotiate|apikey)\b)"""
    r"""[A-Za-z][a-z']{0,30}[,.;]?[ ]{1,4}(?=[A-Za-z(])"""
    r"""|[ ]=[ ]{1,4}[A-Za-z_][\w.]{0,60}[(\[]"""
)
_APART = re.compile(f"({_PUT_IN})")
# Also ``<token>`` of a route, which is no tag.
_APART_OR_ROUTE = re.compile(rf"({_PUT_IN}|<(?:\w{{1,20}}:)?\w{{1,60}}>(?![\w+=-]))")
# ``ALTER USER shop PASSWORD 'x'``, ``IDENTIFIED BY 'x'``
_IN_SQL = re.compile(
    r"(?P<by>\b(?:password|identified by)[ \t]{1,4}\\{0,2}['\"])[^'\"\\\n]*+", re.IGNORECASE
)
_NOTHING = re.compile(r"%[sdr]|\{\d?\}|\\[nrt]")
_QUOTED = re.compile(r"(?:(?<!\w)|\b[bBrRuUfF]{1,2})[\"']")


def begins_statement(line: str) -> bool:
    return _STATEMENT.match(line) is not None


def is_whole(line: str, is_in_key: bool) -> bool:
    """True for a line with one statement or none, as most are; False when it must be read."""
    content = line.strip()
    quote = content[:3]
    if quote in ('"""', "'''"):
        return len(content) >= 6 and content.endswith(quote) and content.count(quote) == 2
    return (
        not (is_in_key or '"""' in line or "'''" in line or "PRIVATE KEY" in line)
        and not content.endswith((",", "\\"))
        and content.count("(") == content.count(")")
        and content.count("[") == content.count("]")
        and content.count("{") == content.count("}")
    )


def begins_prose(line: str) -> bool:
    """True for the first line of a docstring of several."""
    content = line.strip()
    quote = content[:3]
    is_plain = quote in ('"""', "'''") and "\\" not in line and "PRIVATE KEY" not in line
    return is_plain and content.count(quote) == 1


def ends_prose(line: str, quote: str) -> bool:
    """True for the last line of such a docstring."""
    is_plain = "\\" not in line and "-----" not in line
    return is_plain and line.count(quote[0]) == 3 and line.rstrip().endswith(quote)


def begins_key(text: str) -> bool:
    """True where a private key in PEM begins."""
    return "PRIVATE KEY" in text and _BEGINS.search(text) is not None


def ends_key(text: str) -> bool:
    return _ENDS in text


def may_be_of_key(line: str) -> bool:
    """True for a line that may stand within a private key: a literal, a comment, base64."""
    return _OF_KEY.match(line) is not None


def is_text_of_key(line: str) -> bool:
    """True for such a line outside of a literal: in a template, in a text."""
    return _TEXT_OF_KEY.match(line) is not None


def is_encoded(line: str) -> bool:
    """True for a line of base64 only: of a key whose first line is elsewhere.

    It has digits, upper and lower case, unlike a hexadecimal hash or a name, and few slashes,
    unlike a path.
    """
    found = _ALONE.match(line) if len(line) >= _SHORTEST_ALONE else None
    if found is None or len(found["run"]) < _SHORTEST_ALONE:
        return False
    run = found["run"]
    is_mixed = run != run.lower() and run != run.upper()
    # Of random runs of 40 characters, 3 % have less than three of these eleven.
    has_digits = sum(each in "0123456789+" for each in run) >= 3
    return is_mixed and has_digits and run.count("/") * 16 <= len(run)


def may_be_code(comment: str) -> bool:
    """True for what may be commented-out code; the quote in ``isn't`` is none."""
    return any(each in comment for each in "=[({:") and _QUOTED.search(comment) is not None


def searched(text: str) -> str:
    """A literal or a comment that is shown, without its pairs of name and value."""
    if "'" in text or '"' in text:
        text = without_secret_columns(_IN_SQL.sub(rf"\g<by>{MASK}", text))
    if "=" not in text and ":" not in text and "--" not in text and "<" not in text:
        return text
    parts = (_APART if "</" in text else _APART_OR_ROUTE).split(text)
    return "".join(each if at % 2 else mask_named(each) for at, each in enumerate(parts))


def hidden(text: str) -> str:
    """The mask for a literal or a line of one; its line end stays."""
    content = text.rstrip("\r\n")
    return MASK + text[len(content) :] if says_something(content) else text


def says_something(text: str) -> bool:
    """False for what is no secret: punctuation, line ends, and placeholders (``"%s"``)."""
    return any(each.isalnum() for each in _NOTHING.sub("", text))
