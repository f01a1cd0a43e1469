"""Replaces the literals and comments of a statement, for all backends at once."""

from __future__ import annotations

import re

from slowhound.redaction.sql.quotes import Quotes


# No group is possessive: before Python 3.11.5 such a group matches wrongly (gh-106052). It need not
# be either: the next character determines the way through each, so backtracking finds nothing.
def _comment(depth: int) -> str:
    """PostgreSQL's comments nest; beyond this depth all of the rest is one."""
    inner = _comment(depth - 1) if depth else r"/\*.*"
    return rf"/\*(?:[^*/]++|\*(?!/)|/(?!\*)|{inner})*(?:\*/|\Z)"


_LITERALS = (
    rf"(?P<comment>{_comment(3)})|(?P<line>--[^\n]*+)|(?P<hash>#(?![>#=&-]))"
    # In double quotes: names, or text.
    r"|(?P<double>\"(?:%s)*(?:\"|(?P<cut>\Z)))|(?P<ticks>`[^`]*+`)"
    # q'ab' is one text for Oracle, and several for others; the apostrophe of [it's] begins none.
    r"|(?P<odd>\b[nN]?[qQ]'(?=\w)|\[[^\W\d]\w[^\]'\"\n]{0,125}(?:'|(?<![.( ,])\"))"
    # Strings: Oracle's q'[..]', E'..', those of all others, $$..$$.
    r"|\b[nN]?[qQ]'(?:\[.*?(?:\]'|\Z)|\{.*?(?:\}'|\Z)|\(.*?(?:\)'|\Z)|<.*?(?:>'|\Z)"
    r"|(?P<mark>[^\s\w]).*?(?:(?P=mark)'|\Z))"
    r"|\b[eE]'(?:[^'\\]++|''|\\.|\\\Z)*(?:'|\Z)"
    r"|(?:\b(?:[nNbBxX]|[uU]&|_\w{1,30}))?'(?:%s)*(?:'|(?P<open>\Z))"
    r"|\$(?P<tag>(?:[^\W\d]\w{0,62})?)\$.*?(?:\$(?P=tag)\$|\Z)"
    # Placeholders, numbers, and the rows after a COPY.
    r"|%%s|%%\(\w+\)s|[$?]\d++|(?<![\w$.])\.?\d[\w.]*+(?:(?<=[eE])[+-]\d++)?"
    r"|(?P<copy>\bFROM\s+STDIN\b[^;]{0,200};).+"
)
# A quote behind a backslash ends the text in the SQL standard, but not in MySQL.
STANDARD, WITH_BACKSLASH = (
    re.compile(
        _LITERALS % tuple(text.replace("'", quote) for quote in "\"'"), re.DOTALL | re.IGNORECASE
    )
    for text in (r"[^']++|''", r"[^'\\]++|''|\\.|\\\Z")
)
_LETTER = re.compile(r"\w")
_QUOTE = re.compile(r"['\"\n]")
_TABLE_FOLLOWS = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|EXISTS)\s{0,9}\Z", re.IGNORECASE)


def without_literals(sql: str, pattern: re.Pattern[str], *, is_mysql: bool) -> tuple[str, str]:
    """The text with ``?`` for its literals, and the quote of its last string if that has no end."""
    return _Statement(sql, pattern, is_mysql).result()


class _Statement:
    """One way to read a statement."""

    def __init__(self, sql: str, pattern: re.Pattern[str], is_mysql: bool) -> None:
        self._sql = sql
        self._pattern = pattern
        self._is_mysql = is_mysql
        self._parts: list[str] = []
        self._quotes = Quotes(sql)
        # The parts in double quotes, and their beginnings.
        self._doubles: list[tuple[int, int]] = []
        self._open = ""
        self._next_quote = -1

    def result(self) -> tuple[str, str]:
        position = kept = 0
        while (found := self._pattern.search(self._sql, position)) is not None:
            start, position = found.span()
            if found["hash"] is not None:
                position = self._after_hash(start)
                if position == start + 1:
                    continue  # it belongs to a name
            is_in_doubt = position < 0 or self._is_in_doubt(found)
            self._parts.append(self._sql[kept:start])
            if is_in_doubt:
                return f"{self._text().rstrip('? ')} ?", self._open
            self._add(found)
            kept = position
        self._parts.append(self._sql[kept:])
        return self._text(), self._open

    def _add(self, found: re.Match[str]) -> None:
        is_open = found["open"] is not None or found["cut"] is not None
        if is_open:
            self._open = "'" if found["open"] is not None else '"'
        if found["double"] is not None and not (is_open or self._is_mysql):
            self._doubles.append((len(self._parts), found.start()))
            self._quotes.add(*found.span())
        if found["comment"] is not None or found["line"] is not None or found["hash"] is not None:
            self._parts.append(" ")
        else:
            self._parts.append(found["ticks"] or f"{found['copy'] or ''}?")

    def _text(self) -> str:
        names = self._quotes.names()
        for part, start in self._doubles:
            if start in names:
                self._parts[part] = self._sql[start : self._sql.index('"', start + 1) + 1]
        return "".join(self._parts)

    def _after_hash(self, start: int) -> int:
        """The end of a comment of MySQL; just behind a # that begins none, and -1 in doubt."""
        sql = self._sql
        if self._is_mysql:
            end = sql.find("\n", start)
            return end if end >= 0 else len(sql)
        if _TABLE_FOLLOWS.search(sql, max(0, start - 16), start):
            return start + 1
        if self._next_quote < start:
            found = _QUOTE.search(sql, start)
            self._next_quote = found.start() if found is not None else len(sql)
        quote = self._next_quote
        if quote < len(sql) and sql[quote] != "\n":
            return -1  # is it an apostrophe?
        return quote if sql[start + 1 : start + 2].isspace() else start + 1

    def _is_in_doubt(self, found: re.Match[str]) -> bool:
        """True where the backend decides what is text behind this."""
        text = found[0]
        if found["odd"] is not None:
            return True
        if text[-1] == "'" and _LETTER.match(self._sql, found.end()) is not None:
            # 'it's' is no statement, unless it is read differently.
            self._open = "'"
            return True
        if found["comment"] is not None:
            # Only in PostgreSQL and SQL Server a comment ends at the end of the outer one.
            first = text.find("*/") + 2
            return 2 < first < len(text) and _holds_quote(text[first:])
        if found["line"] is not None and self._is_mysql:
            return text[2:3] > " " and _holds_quote(text)  # 5--'3' is 8
        return False


def _holds_quote(text: str) -> bool:
    return "'" in text or '"' in text
