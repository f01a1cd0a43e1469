"""A statement without its literals: what groups statements, and all of one that is ever shown."""

from __future__ import annotations

import re
from functools import lru_cache

from slowhound.redaction.sql_names import fold, has_no_names

SQL_LIMIT = 500
STATEMENT_LIMIT = 4000


# No group is possessive: before Python 3.11.5 such a one takes wrong ways (gh-106052). Nor need it
# be: the next character tells the only way through each, so going back finds nothing.
def _comment(depth: int) -> str:
    """PostgreSQL's comments nest; beyond this depth all of the rest is one."""
    inner = _comment(depth - 1) if depth else r"/\*.*"
    return rf"/\*(?:[^*/]++|\*(?!/)|/(?!\*)|{inner})*(?:\*/|\Z)"


_DOUBLE = r'"(?:[^"\\]++|""|\\.|\\\Z)*(?:"(?!")|\Z)'
_LITERALS = (
    # Comments. Then what stands in double quotes where a value is expected: MySQL and SQLite take
    # it for text. Names in quotes stay; what is too odd for a name does not.
    rf"(?P<comment>{_comment(3)}|--[^\n]*+)"
    r"|(?P<before>(?:[=<>]|\b(?:LIKE|REGEXP|VALUES|IN)\b)\s{0,9}\(?\s{0,9})"
    rf"(?:{_DOUBLE}\s{{0,9}},\s{{0,9}}(?=\"))*{_DOUBLE}(?!\s{{0,9}}(?:[.(]|,\s{{0,9}}\"))"
    r'|(?P<name>"[A-Za-z_][\w$]{0,63}")'
    rf"|{_DOUBLE}|(?P<ticks>`[^`]*+`)"
    # Strings: Oracle's q'[..]', E'..', those of all others, $$..$$.
    r"|\b[nN]?[qQ]'(?:\[.*?(?:\]'|\Z)|\{.*?(?:\}'|\Z)|\(.*?(?:\)'|\Z)|<.*?(?:>'|\Z)"
    r"|(?P<mark>[^\s\w]).*?(?:(?P=mark)'|\Z))"
    r"|\b[eE]'(?:[^'\\]++|''|\\.|\\\Z)*(?:'|\Z)"
    r"|(?:\b(?:[nNbBxX]|[uU]&|_\w{1,30}))?'(?:%s)*(?:'|(?P<open>\Z))"
    r"|\$(?P<tag>(?:[A-Za-z_]\w{0,62})?)\$.*?(?:\$(?P=tag)\$|\Z)"
    # Placeholders, numbers, and the rows after a COPY.
    r"|%%s|%%\(\w+\)s|[$?]\d++|(?<![\w$.])\.?\d[\w.]*+(?:(?<=[eE])[+-]\d++)?"
    r"|(?P<copy>\bFROM\s+STDIN\b[^;]{0,200};).+"
)
# A backslash before a quote ends the text by the SQL standard, and does not in MySQL.
_STANDARD, _WITH_BACKSLASH = (
    re.compile(_LITERALS % string, re.DOTALL | re.IGNORECASE)
    for string in (r"[^']++|''", r"[^'\\]++|''|\\.|\\\Z")
)
_LISTS = re.compile(
    r"\(\s?\?(?:\s?,\s?\?)*\s?(?:\)|\Z)(?:\s?,\s?\(\s?\?(?:\s?,\s?\?)*\s?(?:\)|\Z))*"
)
# A transaction in two phases has its name as a text.
_TEXT = r"(?:[xX]?'(?:[^']|'')*'|\"[^\"]*\"|\w+)"
_TWO_PHASES = re.compile(
    r"(\A(?:\s|/\*[^*]*\*/)*(?:XA\s+(?:START|BEGIN|END|PREPARE|COMMIT|ROLLBACK)"
    r"|PREPARE\s+TRANSACTION|(?:COMMIT|ROLLBACK)\s+PREPARED)\s+)"
    rf"{_TEXT}(?:\s*,\s*{_TEXT})*",
    re.IGNORECASE,
)
_SAVEPOINT = re.compile(r"\s*(?:SAVEPOINT|SAVE\s|RELEASE\s|ROLLBACK\s.*\?)", re.IGNORECASE)
# A text of one's own may stand for what was taken out.
_OUT = "\0"
_DOUBTFUL = re.compile(r"\\['\"]|#(?![>#=&-])[^\n'\"]*['\"]")
_double_quotes_are_text = False


def double_quotes_are_text() -> None:
    """From now on they never hold names: there is a connection to MySQL."""
    global _double_quotes_are_text
    _double_quotes_are_text = True
    _shape.cache_clear()
    _statement.cache_clear()


def sql_statement(sql: str) -> str:
    """The statement by which runs of it are counted together, its literals kept.

    Comments are left out, of which a tracing library writes another into each statement, and
    generated names are folded.
    """
    if len(sql) <= STATEMENT_LIMIT:
        return _statement(sql)
    # Of a bulk insert, megabytes are not kept for its counts.
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
    names = not (_double_quotes_are_text or "`" in sql)

    def without(found: re.Match[str]) -> str:
        whole = found[0]
        if found["comment"] is not None:
            return " "
        if found["name"] or found["ticks"] or (names and whole[0] == '"'):
            return whole
        literals.append(whole)
        return _OUT

    text = fold(_WITH_BACKSLASH.sub(without, sql)).strip()
    back = iter(literals)
    return re.sub(_OUT, lambda _: next(back), text)


def is_of_savepoint(statement: str) -> bool:
    """True for a statement that makes a savepoint, or ends one."""
    return _SAVEPOINT.match(statement) is not None


def sql_shape(sql: str) -> str:
    """The statement with literals, lists and generated names as ``?``, without comments.

    Of 500 characters. It is all of a statement that is ever shown: an application may have written
    values into its SQL. Where it cannot be known what is text, all of the rest is.
    """
    return _shape(sql[:STATEMENT_LIMIT])


@lru_cache(maxsize=1024)
def _shape(sql: str) -> str:
    # Cached, for an application has few statements; cut before, for some are megabytes long.
    sql = _TWO_PHASES.sub(r"\1?", sql)
    # A comment of MySQL's may have an apostrophe; #> and its kin are operators of PostgreSQL.
    doubtful = _DOUBTFUL.search(sql)
    shown, is_open = _without_literals(sql, _WITH_BACKSLASH)
    if doubtful is not None:
        other, other_open = _without_literals(sql, _STANDARD)
        if sql[doubtful.start()] == "#" or (shown != other and is_open == other_open):
            shown = _without_literals(sql[: doubtful.start()], _STANDARD)[0].rstrip("? ") + " ?"
        elif is_open:
            shown = other
    return _LISTS.sub("(?)", " ".join(fold(shown).split()))[:SQL_LIMIT]


def _without_literals(sql: str, pattern: re.Pattern[str]) -> tuple[str, bool]:
    """The text, and whether its last string has no end."""
    names = not (_double_quotes_are_text or "`" in sql)
    is_open = False

    def masked(found: re.Match[str]) -> str:
        nonlocal is_open
        is_open = is_open or found["open"] is not None
        if found["comment"] is not None:
            return " "
        if found["name"] is not None and names:
            return found["name"]
        return found["ticks"] or f"{found['before'] or found['copy'] or ''}?"

    return pattern.sub(masked, sql), is_open
