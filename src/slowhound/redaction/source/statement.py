"""Decides which literals of a statement are hidden, from the names and brackets before them."""

from __future__ import annotations

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

# Python itself takes 200 brackets within each other.
_MOST_BRACKETS = 200
_WITH_BLOCK = frozenset(
    (
        *("if", "elif", "else", "while", "for", "with", "try", "except", "finally", "def"),
        *("class", "async", "match", "case"),
    )
)
_WORDS = _WITH_BLOCK | {"raise", "return", "yield", "assert", "del", "import", "from", "await"}
_WITHIN = frozenset(("and", "or", "not", "in", "is", "lambda", "None", "True", "False"))


class Statement:
    """A statement and its brackets, over any number of lines."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drops what is open: the next token begins a statement."""
        self._opened = [Open("statement")]
        self.ended()

    def ended(self) -> None:
        """The statement has ended; brackets around it are open still."""
        self._opened[0] = Open("statement")
        self._keyword = self._target = self._path = ""
        self._before = "begin"  # the kind of the last token

    @property
    def has_bracket(self) -> bool:
        """True where a bracket is open."""
        return len(self._opened) > 1

    def string_ended(self) -> None:
        """The last token was a literal."""
        self._before = "string"

    def token(self, kind: str, text: str, line: str, end: int) -> None:
        """Takes the next token, which ends at ``end`` of its line."""
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
            self._keyword, self._before = path, "word"
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
        if len(self._opened) > _MOST_BRACKETS:
            self.forget()
        if bracket == "(" and follows:
            kind = "call"
            level = level_of_call(name, level)
            if level is Level.NAMED and self._keyword == "raise" and here.level < Level.WHOLE:
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
        elif sign == ":" and here.kind == "statement" and self._keyword in _WITH_BLOCK:
            self.ended()
        elif sign in ("=", "+=", ":=") and here.kind == "statement" and sign != ":=":
            level = max(here.level, here.seen)
            here.whole = here.level = Level.WHOLE if level > Level.DOUBT else level
        elif sign in ("=", ":=") and here.level > Level.DOUBT:
            here.level = Level.WHOLE
        elif sign in ("\n", ";") and here.kind == "statement":
            self.ended()

    # Literals

    def hides(self, line: str, content: str, after: int, is_formatted: bool) -> bool:
        """True for a literal that must be hidden; keeps what it means for those that follow."""
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
