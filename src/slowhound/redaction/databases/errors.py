"""Masks what databases quote in their errors: a row, a key, a value, a line of the statement.

Names of tables, columns, constraints and users stay. Where a quotation has no end, all of the rest
is masked, or the part of it that PostgreSQL names: the text was cut, and a value may have several
lines. Texts that an application or a script raises in a database are its own, and stay.
"""

from __future__ import annotations

import re
from itertools import pairwise

from slowhound.redaction.databases.messages import MESSAGES, End, Message
from slowhound.redaction.mask import MASK
from slowhound.redaction.sql.columns import without_secret_columns
from slowhound.redaction.sql.shape import sql_shape

# PostgreSQL names the parts of an error, each on lines of its own. Where an exception shows its
# arguments as Python writes them, their line ends are escaped.
_PART = re.compile(
    r"(?:^|(?<=\\n))(?=(?:DETAIL|HINT|CONTEXT|QUERY|STATEMENT|LOCATION):  |LINE \d{1,9}: )",
    re.MULTILINE,
)
_STATEMENT = re.compile(r"(?:QUERY|STATEMENT):  ")
_LINE = re.compile(r"LINE (?P<number>\d{1,9}): (?P<line>[^\n]*)(?P<caret>\n[ ]*\^)?")
_IN_NAME = re.compile(r"\.\.\.[\w$]*\"")
_KEY = re.compile(r"\b[Kk]ey \(")
_KEY_ENDS = re.compile(
    r"\)(?= (?:already exists|conflicts with|is (?:not present|(?:still )?referenced|duplicated))"
    r"|\.(?:\s|\\n|\\?['\"]|\Z))"
)
# A text in double quotes, or without quotes, causes an error about a column. A column with a plain
# name is shown, except in SQLite, where only a name with its table is surely one.
_COLUMN = re.compile(
    r"(?<=\bcolumn )\"[^\"\n]*(?:\"(?= does not exist)|(?=\n|\Z))"
    r"|(?<=\bReferenced column )\"[^\"\n]*(?:\"(?= not found)|(?=\n|\Z))"
    r"|(?<=\bUnknown column )\\?'[^'\n]*'?"
    r"|(?<=\bInvalid column name )\\?'[^'\n]*'?"
    r"|(?<=\bORA-00904: )\"[^\n]*?(?=: invalid identifier|\n|\Z)"
)
_PLAIN = re.compile(r"[\w$]*(?:\"?\.\"?[\w$]+)*")
_SQLITE_COLUMN = re.compile(
    r"(?<=\bno such column: )(?!\w+(?:\.\w+){1,2}(?![\w@.-]))"
    r"[^\n]*?(?= - should this be a string literal|\n|\Z)"
)
_OPENING = re.compile(r"(?:\\?['\"`]|[(\[{])?")
_REST = re.compile(r"\W*")  # of a message that ends with its quotation
_POINTED = '" <-- parse error at position'  # PostGIS
_OUT_OF_RANGE = '" is out of range for type '


def without_quoted(text: str) -> str:
    """The text of an error without the values that a database quotes."""
    text = without_secret_columns(text)
    parts = _PART.split(text)
    if len(parts) == 1:
        return _part(text)
    return "".join(
        _part(part, is_escaped=before.endswith("\\n")) for before, part in pairwise(["", *parts])
    )


def _part(text: str, *, is_escaped: bool = False) -> str:
    found = _STATEMENT.match(text)
    if found is not None and not is_escaped:
        return _shaped(text, found.end(), len(text))
    line = _LINE.match(text)
    if is_escaped and (found is not None or line is not None):
        return text[: text.index(":") + 1] + (" ?\\n" if text.endswith("\\n") else " ?")
    before = ""
    if line is not None:
        before, text = _of_statement(line), text[line.end() :]
    for behind in (_POINTED, _OUT_OF_RANGE):
        if behind in text:
            text = _without_first(text, behind)
    for message in MESSAGES:
        if message.has in text:
            text = _without(message, text)
    if "ey (" in text:
        text = _without_keys(text)
    if "olumn" in text or "ORA-" in text:
        text = _COLUMN.sub(_column, text)
        text = _SQLITE_COLUMN.sub(MASK, text)
    return before + text


def _of_statement(found: re.Match[str]) -> str:
    """A line of a statement as its shape, if it begins outside of a text.

    libpq cuts it to 60 characters: https://www.postgresql.org/docs/current/protocol-error-fields.html
    """
    line = _IN_NAME.sub("...", found["line"], count=1)
    begins_within = found["number"] != "1" or line.startswith("...")
    if begins_within and ("'" in line or "$" in line):
        return f"LINE {found['number']}: ?"
    shape = sql_shape(line, is_cut=line.endswith("..."))
    return f"LINE {found['number']}: {shape}{' ^' if found['caret'] else ''}"


def _without(message: Message, text: str) -> str:
    parts: list[str] = []
    kept = position = 0
    while (found := message.begins.search(text, position)) is not None:
        start = found.end()
        end = _end(message, text, start)
        if end < 0:
            break  # another one has no end either
        shown = _shaped(text, start, end)[start:] if message.is_sql else MASK
        parts += (text[kept:start], shown)
        kept = position = end
    return "".join([*parts, text[kept:]])


def _end(message: Message, text: str, start: int) -> int:
    """The end of the quotation that begins there; -1 where it is none of a database."""
    inner = start + len(_OPENING.match(text, start)[0])  # type: ignore[index]
    if message.follows is not None:
        found = message.follows.search(text, inner)
        if found is not None:
            return found.end()
    if message.end is End.LINE:
        line_end = text.find("\n", start)
        return line_end if line_end >= 0 else len(text)
    last = text.rfind(message.closing, inner) if message.closing else -1
    if message.end is End.REQUIRED and last >= 0:
        return -1
    if message.end is End.FOUND and _REST.fullmatch(text, last + 1) is None:
        return len(text)
    return last + 1 if last >= 0 else len(text)


def _shaped(text: str, start: int, end: int) -> str:
    """The text up to ``end``, with a statement as its shape."""
    statement = text[start:end]
    quote = '"' if statement[:1] == '"' else ""
    if quote:
        statement = statement[1:-1] if statement.endswith('"') else statement[1:]
    space = statement[len(statement.rstrip()) :]
    return f"{text[:start]}{quote}{sql_shape(statement)}{quote}{space}"


def _without_keys(text: str) -> str:
    """``Key (a, b)=(1, 2) already exists``; both parts may contain brackets."""
    parts: list[str] = []
    kept = position = 0
    while (found := _KEY.search(text, position)) is not None:
        values = text.find(")=(", found.end())
        if values < 0:
            break
        ends = _KEY_ENDS.search(text, values + 3)
        position = ends.end() if ends is not None else len(text)
        parts += (text[kept : values + 2], MASK)
        kept = position
    return "".join([*parts, text[kept:]])


def _without_first(text: str, behind: str) -> str:
    """The text without the quotation that ends there; a value may contain quotes."""
    end = text.rfind(behind)
    return text[: text.index('"')] + MASK + text[end + 1 :]


def _column(found: re.Match[str]) -> str:
    return found[0] if _PLAIN.fullmatch(found[0].strip("\"'\\")) else MASK
