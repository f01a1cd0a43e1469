"""Makes the shape of a statement, without its literals: all of one that is ever shown."""

from __future__ import annotations

import re
from functools import lru_cache

from slowhound.redaction.sql.generated_names import fold, has_no_names
from slowhound.redaction.sql.literals import STANDARD as _STANDARD
from slowhound.redaction.sql.literals import WITH_BACKSLASH as _WITH_BACKSLASH
from slowhound.redaction.sql.literals import without_literals
from slowhound.redaction.sql.settings import without_bare_values

SQL_LIMIT = 500
STATEMENT_LIMIT = 4000

_LISTS = re.compile(
    r"\(\s?\?(?:\s?,\s?\?)*\s?(?:\)|\Z)(?:\s?,\s?\(\s?\?(?:\s?,\s?\?)*\s?(?:\)|\Z))*"
)
# The name of a transaction in two phases is a text.
_TEXT = r"(?:[xX]?'(?:[^']|'')*'|\"[^\"]*\"|\w+)"
_TWO_PHASES = re.compile(
    r"(\A(?:\s|/\*[^*]*\*/)*(?:XA\s+(?:START|BEGIN|END|PREPARE|COMMIT|ROLLBACK)"
    r"|PREPARE\s+TRANSACTION|(?:COMMIT|ROLLBACK)\s+PREPARED)\s+)"
    rf"{_TEXT}(?:\s*,\s*{_TEXT})*",
    re.IGNORECASE,
)
# In ClickHouse the rows follow the name of their format.
_ROWS = re.compile(
    r"(\A(?:\s|/\*[^*]*\*/)*INSERT\s+INTO\s[^()'\"]{1,200}(?:\([^()]*\))?\s{0,9}FORMAT\s+\w+)\b.+",
    re.IGNORECASE | re.DOTALL,
)
_SAVEPOINT = re.compile(r"\s*(?:SAVEPOINT|SAVE\s|RELEASE\s|ROLLBACK\s.*\?)", re.IGNORECASE)
# A placeholder for the literals that were removed.
_OUT = "\0"
_DOUBTFUL = re.compile(r"\\['\"]|#(?![>#=&-])[^\n'\"#]*['\"]")
_BACKSLASH = re.compile(r"\\['\"]")
_double_quotes_are_text = False


def double_quotes_are_text() -> None:
    """From now on double quotes never contain names: there is a connection to MySQL."""
    global _double_quotes_are_text
    _double_quotes_are_text = True
    _shape.cache_clear()
    _statement.cache_clear()


def sql_statement(sql: str) -> str:
    """The statement by which its runs are counted together, with its literals.

    Comments are left out, because a tracing library writes another one into each run, and generated
    names are folded.
    """
    if len(sql) <= STATEMENT_LIMIT:
        return _statement(sql)
    # The megabytes of a bulk insert are not kept for its counts.
    if sql.endswith("*/"):
        sql = sql[: sql.rfind("/*")].rstrip()
    return f"{_statement(sql[:STATEMENT_LIMIT])} /* {len(sql)} */"


@lru_cache(maxsize=1024)
def _statement(sql: str) -> str:
    sql = _TWO_PHASES.sub(r"\1?", sql)
    if not ("/*" in sql or "--" in sql) and (has_no_names(sql) or fold(sql) == sql):
        return sql  # nearly all
    if _OUT in sql or _DOUBTFUL.search(sql):
        return sql
    literals: list[str] = []
    names = not _is_mysql(sql)

    def without(found: re.Match[str]) -> str:
        whole = found[0]
        if found.lastgroup in ("comment", "line"):
            return " "
        if found.lastgroup in ("hash", "ticks") or (names and whole[0] == '"'):
            return whole
        literals.append(whole)
        return _OUT

    text = fold(_WITH_BACKSLASH.sub(without, sql)).strip()
    back = iter(literals)
    return re.sub(_OUT, lambda _: next(back), text)


def is_of_savepoint(statement: str) -> bool:
    """True for a statement that makes a savepoint, or ends one."""
    return _SAVEPOINT.match(statement) is not None


def sql_shape(sql: str, *, is_cut: bool = False) -> str:
    """The statement with literals, lists and generated names as ``?``, without comments.

    At most 500 characters. No more of a statement is ever shown: an application may have written
    values into its SQL. Where text and names cannot be told apart, all of the rest is text.

    Args:
        sql: a statement; of a longer one the first 4,000 characters are read.
        is_cut: True for a part of a statement, so that its last string may end elsewhere.
    """
    return _shape(sql[:STATEMENT_LIMIT], is_cut or len(sql) >= STATEMENT_LIMIT)


@lru_cache(maxsize=1024)
def _shape(sql: str, is_cut: bool = False) -> str:
    # Cached, because an application has few statements; cut before, for some are megabytes long.
    sql = _ROWS.sub(r"\1 ?", _TWO_PHASES.sub(r"\1?", sql))
    shown, is_open = _without_literals(sql, _WITH_BACKSLASH)
    doubtful = _BACKSLASH.search(sql)
    if doubtful is not None:
        other, other_open = _without_literals(sql, _STANDARD)
        # Only one of the two readings can be a whole statement.
        if shown != other and (is_cut or bool(is_open) == bool(other_open)):
            shown, is_open = _before(sql, doubtful.start()), ""
        elif is_open:
            shown, is_open = other, other_open
    if is_open and not is_cut:
        # There is one quote too many before it, and it may be any.
        shown = _before(sql, sql.index(is_open))
    shown = fold(without_bare_values(" ".join(shown.split())))
    return _LISTS.sub("(?)", shown)[:SQL_LIMIT]


def _is_mysql(sql: str) -> bool:
    return _double_quotes_are_text or "`" in sql


def _before(sql: str, end: int) -> str:
    """The text before ``end``, and all of the rest as one value."""
    return _without_literals(sql[:end], _STANDARD)[0].rstrip("? ") + " ?"


def _without_literals(sql: str, pattern: re.Pattern[str]) -> tuple[str, str]:
    """The text, and the quote of its last string if that has no end."""
    return without_literals(sql, pattern, is_mysql=_is_mysql(sql))
