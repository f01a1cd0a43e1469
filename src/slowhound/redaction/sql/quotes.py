"""Decides which double quotes of a statement contain names, and which may contain text.

In PostgreSQL, Oracle and SQL Server all of them contain names, in MySQL none does; SQLite reads
them as text if no column has the name (https://sqlite.org/quirks.html#dblquote). Which of these
runs the statement is not known here. So double quotes contain a name

- where no text is allowed: beside a dot, behind words such as FROM, JOIN, INTO, AS and
  ``ORDER BY``, in a call (``"f"(1)``), as an alias, and in the lists of columns of INSERT and
  USING;
- where a text would make no sense: before ``=``, ``IN``, ``IS`` or a similar word and then a
  constant or a parameter (``"email" = %s``), before ``::`` and ``->``, sorted by ASC or DESC;
- as a column of CREATE INDEX, and of CREATE TABLE where its type follows;
- if the same name is one of those elsewhere in the statement: ``COALESCE("a", "b")`` is ambiguous.

One that is no plain word (``"line-items"``, ``"2fa_code"``) is a name beside a dot, in such a list,
behind AS, FROM, JOIN, INTO, UPDATE and similar words, and where SET assigns to it.

All others are text. Django writes ``"table"."column"`` for its models.
"""

from __future__ import annotations

import re
from functools import cached_property

# Characters that are read before a quote: a table and its schema have 63 each.
_BEFORE = 160
_SURE_BEHIND = frozenset(
    re.findall(
        r"\w+",
        """
ADD ALTER ANALYZE AS CLOSE CLUSTER COLLATE COLUMN CONSTRAINT DATABASE DEALLOCATE DECLARE DOMAIN
DROP EXECUTE EXTENSION FETCH FROM FUNCTION INDEX INTO JOIN LISTEN LOCK MODIFY MOVE NOTIFY ONLY
OVER POLICY PREPARE PROCEDURE REFERENCES REINDEX RELEASE RENAME ROLE RULE SAVEPOINT SCHEMA
SEQUENCE TABLE TRIGGER TRUNCATE TYPE UNLISTEN UPDATE USER VIEW WINDOW
""",
    )
)
# ... but not in: VACUUM INTO "file", IS DISTINCT FROM "text", TRIM(BOTH 'x' FROM "text"),
# IDENTIFIED WITH x AS "hash".
_TEXT_BEHIND = re.compile(
    r"(?:\bVACUUM INTO|\bDISTINCT FROM|\bIDENTIFIED\b[^,;]{0,80} AS"
    r"|\b(?:TRIM|SUBSTRING|EXTRACT|OVERLAY|POSITION) ?\([^()]{0,100} FROM)\Z",
    re.IGNORECASE,
)
_NAME = r'(?:"[^"]{1,64}"|\[[^\]]{1,64}\]|\w{1,64})'
_PATH = rf"{_NAME}(?: ?\. ?{_NAME}){{0,2}}"
_ALIAS = re.compile(rf"\b(?:FROM|JOIN|UPDATE|INTO) {_PATH}\Z", re.IGNORECASE)
_LIST = re.compile(
    rf"\b(?:(?:(?:INTO|TABLE|REFERENCES|COPY|EXISTS|WITH|RECURSIVE|VIEW) {_PATH}"
    r"|USING|(?:PRIMARY|FOREIGN) KEY|UNIQUE|CONFLICT|INCLUDE"
    r"|PRAGMA (?:\w{1,64} ?\. ?)?(?:table|index|foreign)\w{0,30}) ?\("
    r"|(?:ORDER|GROUP|PARTITION|CLUSTER) BY|RETURNING)(?: ?[\w.]{1,64} ?,){0,20}\Z",
    re.IGNORECASE,
)
_COLUMN_BEHIND = frozenset(("WHERE", "AND", "OR", "NOT", "ON", "HAVING", "WHEN", "SET"))
# What may follow a name.
_CALLED = re.compile(r"\s{0,40}(?:\.|\(|::|->)")
_SORTED = re.compile(r"\s{1,40}(?:ASC|DESC|NULLS)\b", re.IGNORECASE)
_COMPARED = re.compile(
    r"\s{0,40}(?:=|<>|!=|[<>]=?|(?:NOT\s{1,9})?(?:I?LIKE|GLOB|REGEXP|IN|BETWEEN)\b"
    r"|IS\s{1,9}(?:NOT\b)?)\s{0,40}\(?\s{0,40}"
    r"(?:%s|%\(|\?|[$:@]\w|'|[+-]?\s?\d|(?:NULL|TRUE|FALSE|DEFAULT)\b)",
    re.IGNORECASE,
)
_OPERATOR = re.compile(
    r"\s{0,40}(?:[=<>!|+*/%-]|(?:NOT|IN|IS|I?LIKE|GLOB|MATCH|REGEXP|BETWEEN|AND|OR)\b)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(r"\s{0,40}=")
_TYPED = re.compile(
    r"\s{1,40}(?!(?:AND|AS|BETWEEN|COLLATE|ELSE|END|FROM|GLOB|I?LIKE|IN|IS|NOT|OR|REGEXP|THEN|WHEN)"
    r"\b)[a-z]",
    re.IGNORECASE,
)
_DEFINED = re.compile(r"\s{1,40}AS\b|\s{0,40}\(", re.IGNORECASE)
_IF_FOLLOWED = {
    "WITH": _DEFINED,
    "RECURSIVE": _DEFINED,
    "ON": re.compile(r"\s{0,40}(?:\(|(?:USING|FROM|TO|IS)\b)", re.IGNORECASE),
    "SET": _ASSIGNED,
}
_NEXT_OF_LIST = re.compile(r"(?:\s*(?:ASC|DESC))?(?:\s*,\s*[\w.]+)*\s*,\s*", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*\n")  # without the line end it stands in a text before a name
_LAST_WORD = re.compile(r"\w{0,30}\Z")
_PLAIN = re.compile(r"[^\W\d][\w$]{0,127}")
# Unusual names: "line-items", "2fa_code", "Total (net)".
_ODD = re.compile(r"\w[\w $#&/+.:()-]{0,126}")
_SURE_OF_ODD = frozenset(
    re.findall(r"\w+", "AS COLUMN CONSTRAINT FROM INDEX INTO JOIN ONLY REFERENCES SET TABLE UPDATE")
)
# For the whole statement.
_INDEX = re.compile(r"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\b", re.IGNORECASE)
_TABLE = re.compile(r"\s*CREATE\s+(?:\w+\s+)?TABLE\b", re.IGNORECASE)
_SELECT = re.compile(r"\bSELECT\b", re.IGNORECASE)
_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)
_SET = re.compile(r"\bSET\b", re.IGNORECASE)
_SETS = re.compile(r"\bSET [\w.]{1,128} TO\Z", re.IGNORECASE)


class Quotes:
    """The double quotes of one statement, added from the first to the last."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._known: set[str] = set()
        self._doubtful: list[tuple[int, str]] = []
        self._names: set[int] = set()
        self._last = -1
        self._list_end = -1
        self._text_end = -1

    def add(self, start: int, end: int) -> None:
        """Adds ``sql[start:end]``, which is in double quotes."""
        name = self._sql[start + 1 : end - 1]
        if self._list_end >= 0 and not _NEXT_OF_LIST.fullmatch(self._sql, self._list_end, start):
            self._list_end = -1
        is_plain = _PLAIN.fullmatch(name) is not None
        if not is_plain and _ODD.fullmatch(name) is None:  # too unusual for a name; "a""b", too
            self._list_end = end if self._list_end >= 0 else -1
            return
        if self._is_name(start, end, is_plain=is_plain):
            self._known.add(name)
            self._names.add(start)
            self._last = end
        else:
            self._doubtful.append((start, name))
            self._text_end = end

    def names(self) -> set[int]:
        """The beginnings of those that contain names."""
        self._names.update(start for start, name in self._doubtful if name in self._known)
        return self._names

    def _is_name(self, start: int, end: int, *, is_plain: bool) -> bool:
        sql = self._sql
        if self._list_end >= 0:
            self._list_end = end
            return True
        if sql[start - 1 : start] == "." or sql[end : end + 1] == ".":
            return True  # nearly all
        before = sql[max(0, start - _BEFORE) : start]
        if "--" in before:
            before = _COMMENT.sub(" ", before)
        before = " ".join(before.split())
        if before.endswith('"'):  # "table" "alias"
            return 0 < start - self._last < _BEFORE and sql[self._last : start].isspace()
        word = _last_word(before)
        # In a list ("a", "b", ...) the second is what the first is.
        goes_on = start - self._text_end < 9 and sql[self._text_end : start].strip() == ","
        if not goes_on and self._begins_list(before, word, end):
            self._list_end = end
            return True
        if is_plain:
            may_be = word not in ("BY", "KEY", "PASSWORD")
        else:
            may_be = word in _SURE_OF_ODD or (before[-1:] == "," and self._set_at < end)
        return may_be and (
            self._is_introduced(before, word, end) or self._is_compared(before[-1:], word, end)
        )

    def _begins_list(self, before: str, word: str, end: int) -> bool:
        """True for the first in double quotes of a list of columns."""
        return (
            (before.endswith(("(", ",")) or word in ("BY", "RETURNING"))
            and _LIST.search(before) is not None
            and _OPERATOR.match(self._sql, end) is None
        )

    def _is_introduced(self, before: str, word: str, end: int) -> bool:
        """True where the words before it make it a name."""
        if word in _SURE_BEHIND:
            is_name = _TEXT_BEHIND.search(before) is None
            self._list_end = end if is_name and word == "FROM" else -1
            return is_name
        following = _IF_FOLLOWED.get(word)
        if following is not None and following.match(self._sql, end) is not None:
            return True
        if word == "TO":
            return _SETS.search(before) is None
        if word == "EXISTS":
            return before.upper().endswith(("IF EXISTS", "IF NOT EXISTS"))
        return bool(word) and _ALIAS.search(before) is not None

    def _is_compared(self, last: str, word: str, end: int) -> bool:
        """True where the words behind it make it a name."""
        sql = self._sql
        if last in (".", ")") or _CALLED.match(sql, end):
            return True
        begins = last in ("(", ",")
        if (begins or word in _COLUMN_BEHIND) and _COMPARED.match(sql, end):
            return True
        if not begins:
            return False
        if last == "," and (
            _SORTED.match(sql, end) or (self._set_at < end and _ASSIGNED.match(sql, end))
        ):
            return True
        return end < self._index_end or (self._is_table and _TYPED.match(sql, end) is not None)

    @cached_property
    def _set_at(self) -> int:
        found = _SET.search(self._sql)
        return len(self._sql) if found is None else found.start()

    @cached_property
    def _index_end(self) -> int:
        """True where the statement so far only has columns of an index."""
        if _INDEX.match(self._sql) is None:
            return -1
        found = _WHERE.search(self._sql)
        return len(self._sql) if found is None else found.start()

    @cached_property
    def _is_table(self) -> bool:
        return _TABLE.match(self._sql) is not None and _SELECT.search(self._sql) is None


def _last_word(before: str) -> str:
    found = _LAST_WORD.search(before, max(0, len(before) - 30))
    return found[0].upper() if found is not None else ""
