"""Lines of source code, as they may leave: the literals behind secret names are masked.

``password = form.password`` says nothing; only what stands in quotes does, and comments. Behind a
secret name each literal of the same statement or argument is masked; not keys, which are names
themselves (``form["password"]``), and not what stands under a name of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from slowhound.redaction.mask import MASK
from slowhound.redaction.source import tokens
from slowhound.redaction.source.names import (
    KEYS_OF_NAMES,
    Level,
    is_declaration,
    level_of,
    level_of_call,
    level_of_path,
    lists_names,
)
from slowhound.redaction.source.state import Open
from slowhound.redaction.values import mask_values

# Python itself takes 200 brackets within each other.
_DEEPEST = 200
_WITH_BLOCK = frozenset(
    (
        *("if", "elif", "else", "while", "for", "with", "try", "except", "finally", "def"),
        *("class", "async", "match", "case"),
    )
)
_WORDS = _WITH_BLOCK | {"raise", "return", "yield", "assert", "del", "import", "from", "await"}
_WITHIN = frozenset(("and", "or", "not", "in", "is", "lambda", "None", "True", "False"))


def source(line: str) -> str:
    """A line of source code with the secret values that are written in it masked."""
    return SourceMask().line(line)


@dataclass(slots=True)
class _Literal:
    """One that goes on in the next line."""

    quote: str
    is_hidden: bool


class SourceMask:
    """Masks lines of source that follow one another; what is open at the end of one is known.

    Whatever a file holds, it takes time in proportion to it and raises nothing.
    """

    def __init__(self) -> None:
        self._in_key = False  # a private key in PEM
        self._forget()

    def _forget(self) -> None:
        """What was open: the next line begins a statement."""
        self._literal: _Literal | None = None
        self._opened = [Open("statement")]
        self._ended()

    def _ended(self) -> None:
        self._opened[0] = Open("statement")
        self._statement = self._target = self._path = ""
        self._before = "begin"  # the kind of the last token

    @property
    def in_literal(self) -> bool:
        """True where the next line begins within a literal."""
        return self._literal is not None

    def skip(self, line: str) -> None:
        """A line that is not shown. Most hold a statement of their own, or nothing but prose."""
        literal, is_outside = self._literal, len(self._opened) == 1
        if literal is not None and len(literal.quote) == 3 and literal.quote not in line:
            self._in_key = (self._in_key or tokens.begins_key(line)) and not tokens.ends_key(line)
        elif literal is not None and is_outside and tokens.ends_prose(line, literal.quote):
            self._literal = None
            self._ended()
        elif literal is None and is_outside and tokens.is_whole(line, self._in_key):
            self._ended()
        elif literal is None and is_outside and tokens.begins_prose(line):
            self._literal = _Literal(line.strip()[:3], is_hidden=False)
        else:
            self._scanned(line)

    def line(self, line: str) -> str:
        """The next line, as it may be shown."""
        content = line.rstrip("\r\n")
        end, shown = line[len(content) :], self._scanned(line)
        shown = MASK if tokens.is_encoded(content) else mask_values(shown.removesuffix(end))
        return shown + end

    def _scanned(self, line: str) -> str:
        if self._literal is None:
            if tokens.begins_statement(line):
                self._forget()
            if self._in_key and len(self._opened) == 1 and not tokens.may_be_of_key(line):
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
            self._token(kind, text, line, end)
        return "".join([*parts, line[end:]])

    def _token(self, kind: str, text: str, line: str, end: int) -> None:
        if kind == "name":
            self._name(line, text, end)
        elif kind == "open":
            self._open(text)
        elif kind == "close":
            self._close()
        elif kind == "sign":
            self._sign(text)
        elif kind == "number":
            self._before = kind

    # Names

    def _name(self, line: str, path: str, end: int) -> None:
        here, starts = self._opened[-1], self._before == "begin"
        if starts and path in _WORDS:
            self._statement, self._before = path, "word"
            here.in_for = path == "for"
            return
        if path in ("if", "else", "for") or path in _WITHIN:
            here.word(path, line, end)
            self._before = "word"
            return
        is_assigned = tokens.IS_ASSIGNED.match(line, end) is not None
        before, self._before, self._path = self._before, "name", path
        if is_assigned and here.kind == "call" and before in ("open", ","):
            here.under(path)
            return
        if is_assigned and here.kind == "statement":
            self._target = path
        here.mentioned(path, before == ".", line[end : end + 1] == "(")

    # Brackets and signs

    def _open(self, bracket: str) -> None:
        here, follows = self._opened[-1], self._before in ("name", "close", "string")
        name = self._path if self._before == "name" else ""
        self._before = "open"
        level = here.level
        if len(self._opened) > _DEEPEST:
            self._forget()
        if bracket == "(" and follows:
            kind = "call"
            level = level_of_call(name, level)
            if level is Level.NAMED and self._statement == "raise" and here.level < Level.WHOLE:
                level = Level.SOFT
        elif bracket == "[" and follows:
            kind = "index"
        else:
            kind, name = {"(": "group", "[": "list", "{": "dict"}[bracket], ""
            level = Level.WHOLE if level > Level.DOUBT else level
        made = Open(kind, name, level, level)
        made.names_secret = is_declaration(name) and here.level > Level.DOUBT
        self._opened.append(made)

    def _close(self) -> None:
        self._before = "close"
        if len(self._opened) == 1:
            return
        closed = self._opened.pop()
        closed.close_into(self._opened[-1])

    def _sign(self, sign: str) -> None:
        here = self._opened[-1]
        if sign == "\n" and here.kind != "statement":
            return
        self._before = sign
        if sign == ",":
            here.next_argument()
        elif sign == ":" and here.kind == "dict":
            here.level = Level.WHOLE if here.level > Level.DOUBT else here.level
        elif sign == ":" and here.kind == "statement" and self._statement in _WITH_BLOCK:
            self._ended()
        elif sign in ("=", "+=", ":=") and here.kind == "statement" and sign != ":=":
            level = max(here.level, here.seen)
            here.whole = here.level = Level.WHOLE if level > Level.DOUBT else level
        elif sign in ("=", ":=") and here.level > Level.DOUBT:
            here.level = Level.WHOLE
        elif sign in ("\n", ";") and here.kind == "statement":
            self._ended()

    # Literals and comments

    def _string(self, line: str, found: re.Match[str], parts: list[str]) -> int:
        opening = found["string"]
        quote = opening.lstrip("bBrRuUfFtT")
        body = tokens.BODIES[quote].match(line, found.end())
        content = body[0] if body is not None else ""
        after = found.end() + len(content) + len(quote)
        is_formatted = "f" in opening.lower() and "{" in content
        is_hidden = self._is_secret(line, content, after, is_formatted)
        parts.append(opening)
        return self._literal_from(line, found.end(), _Literal(quote, is_hidden), parts)

    def _literal_from(self, line: str, begin: int, literal: _Literal, parts: list[str]) -> int:
        """Adds what may be shown of the literal that goes on at ``begin``; returns its end."""
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
        self._before = "string"
        return end

    def _is_secret(self, line: str, content: str, after: int, is_formatted: bool) -> bool:
        """Whether a literal is hidden, and what it says about those that follow."""
        here = self._opened[-1]
        # A line alone may be one of a dict.
        may_be_key = here.kind == "dict" or (
            here.kind == "statement" and self._before in ("begin", ",")
        )
        if may_be_key and tokens.IS_KEY.match(line, after) is not None:
            here.under(content)
            return False
        if here.kind == "index" and tokens.ENDS_INDEX.match(line, after) is not None:
            here.key = content
            return False
        named = tokens.NAME.fullmatch(content)
        level = level_of(named["name"]) if named is not None else Level.NONE
        if here.takes_secret:
            return True
        is_got = here.takes_name
        if is_got or here.level is Level.NONE or (here.level is Level.DOUBT and is_formatted):
            if level is Level.NAMED and named is not None:
                self._names_secret(here, line, after, is_got, bool(named["dashes"]))
            return not is_got and self._is_compared(here, line, after)
        return not (here.level is Level.SOFT and " " in content)

    def _names_secret(self, here: Open, line: str, end: int, is_got: bool, is_option: bool) -> None:
        here.names_secret = not here.key or here.key.lower() in KEYS_OF_NAMES
        if is_got:
            here.seen = max(here.seen, Level.NAMED)
        if here.key or (lists_names(here.name or self._outer_name()) and not is_option):
            return
        if is_got or is_option:
            here.pair = Level.WHOLE
        elif here.kind == "call":
            here.pair = Level.SOFT
        elif here.kind == "group" and here.at == 0 and tokens.IS_PAIR.match(line, end):
            here.pair = Level.WHOLE

    def _outer_name(self) -> str:
        """What the list or the tuple that is open is called."""
        return next((each.key or each.name for each in self._opened[-2::-1]), "") or self._target

    @staticmethod
    def _is_compared(here: Open, line: str, end: int) -> bool:
        """True in ``"x" == password``."""
        found = tokens.COMPARED.match(line, end)
        if found is None or (found["by"] == "," and not here.compares):
            return False
        return level_of_path(found["key"] or found["name"]) > Level.DOUBT

    def _comment(self, text: str) -> str:
        if self._in_key:
            return "# " + MASK
        plain = text.lstrip("# \t")
        if tokens.may_be_code(plain):
            # Code that was taken out. What stands behind a # in it is no code of its own.
            code, mark, rest = plain.partition("#")
            text = text[: len(text) - len(plain)] + SourceMask()._tokens(code) + mark + rest
        return tokens.searched(text)
