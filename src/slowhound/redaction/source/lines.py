"""Masks the literals behind secret names in lines of source code.

``password = form.password`` contains no secret; only literals and comments may. Behind a secret
name each literal of the same statement or argument is masked, except keys, which are names
themselves (``form["password"]``), and values under a name of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from slowhound.redaction.mask import MASK
from slowhound.redaction.source import tokens
from slowhound.redaction.source.statement import Statement
from slowhound.redaction.values import mask_values


def source(line: str) -> str:
    """A line of source code with its secret values masked."""
    return SourceMask().line(line)


@dataclass(slots=True)
class _Literal:
    """A literal that goes on in the next line."""

    quote: str
    is_hidden: bool


class SourceMask:
    """Masks consecutive lines of source, and remembers what is open at the end of one.

    For any file it takes time in proportion to its size, and raises nothing.
    """

    def __init__(self) -> None:
        self._in_key = False  # a private key in PEM
        self._literal: _Literal | None = None
        self._statement = Statement()

    @property
    def in_literal(self) -> bool:
        """True where the next line begins within a literal."""
        return self._literal is not None

    def skip(self, line: str) -> None:
        """Reads a line that is not shown. Most contain a whole statement, or prose only."""
        literal, is_outside = self._literal, not self._statement.has_bracket
        if literal is not None and len(literal.quote) == 3 and literal.quote not in line:
            self._in_key = (self._in_key or tokens.begins_key(line)) and not tokens.ends_key(line)
        elif literal is not None and is_outside and tokens.ends_prose(line, literal.quote):
            self._literal = None
            self._statement.ended()
        elif literal is None and is_outside and tokens.is_whole(line, self._in_key):
            self._statement.ended()
        elif literal is None and is_outside and tokens.begins_prose(line):
            self._literal = _Literal(line.strip()[:3], is_hidden=False)
        else:
            self._scanned(line)

    def line(self, line: str) -> str:
        """The next line, masked."""
        content = line.rstrip("\r\n")
        end, shown = line[len(content) :], self._scanned(line)
        shown = MASK if tokens.is_encoded(content) else mask_values(shown.removesuffix(end))
        return shown + end

    def _scanned(self, line: str) -> str:
        if self._literal is None:
            if tokens.begins_statement(line):
                self._statement.forget()
            if self._in_key and not self._statement.has_bracket and not tokens.may_be_of_key(line):
                self._in_key = False
        self._in_key = self._in_key or tokens.begins_key(line)
        shown = self._tokens(line)
        if self._in_key and tokens.ends_key(line):
            self._in_key = False
        return shown

    def _tokens(self, line: str) -> str:
        parts, end = list[str](), 0
        if self._literal is not None:
            end = self._literal_from(line, 0, self._literal, parts)
        elif self._in_key and tokens.is_text_of_key(line):
            return tokens.hidden(line)
        while end < len(line):
            found = tokens.TOKEN.match(line, end)
            kind = found and found.lastgroup
            if found is None or kind is None or found.end() == end:
                break
            text = found[kind]
            parts.append(line[end : found.start(kind)])
            end = found.end()
            if kind == "string":
                end = self._string(line, found, parts)
                continue
            parts.append(self._comment(text) if kind == "comment" else text)
            self._statement.token(kind, text, line, end)
        return "".join([*parts, line[end:]])

    # Literals and comments

    def _string(self, line: str, found: re.Match[str], parts: list[str]) -> int:
        opening = found["string"]
        quote = opening.lstrip("bBrRuUfFtT")
        body = tokens.BODIES[quote].match(line, found.end())
        content = body[0] if body is not None else ""
        after = found.end() + len(content) + len(quote)
        is_formatted = "f" in opening.lower() and "{" in content
        is_hidden = self._statement.hides(line, content, after, is_formatted)
        parts.append(opening)
        return self._literal_from(line, found.end(), _Literal(quote, is_hidden), parts)

    def _literal_from(self, line: str, begin: int, literal: _Literal, parts: list[str]) -> int:
        """Adds the literal that goes on at ``begin``, masked where needed; returns its end."""
        body = tokens.BODIES[literal.quote].match(line, begin)
        end = body.end() if body is not None else begin
        content = line[begin:end]
        is_hidden = literal.is_hidden or self._in_key
        parts.append(tokens.hidden(content) if is_hidden else tokens.searched(content))
        is_closed = line.startswith(literal.quote, end)
        goes_on = len(literal.quote) == 3 or content.endswith("\\\n")
        self._literal = None if is_closed or not goes_on else literal
        if is_closed:
            parts.append(literal.quote)
            end += len(literal.quote)
        self._statement.string_ended()
        return end

    def _comment(self, text: str) -> str:
        if self._in_key:
            return "# " + MASK
        plain = text.lstrip("# \t")
        if tokens.may_be_code(plain):
            # Commented-out code. Text behind a # in it is no code.
            code, mark, rest = plain.partition("#")
            text = text[: len(text) - len(plain)] + SourceMask()._tokens(code) + mark + rest
        return tokens.searched(text)
