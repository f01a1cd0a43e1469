"""Masks the values of secret columns in a statement that a text or a line of source quotes."""

from __future__ import annotations

import re

from slowhound.redaction.mask import MASK
from slowhound.redaction.name_table import Secrecy
from slowhound.redaction.names import secrecy_of

# INSERT INTO users (name, password) VALUES ('bob', '...'): name and value are apart.
_INSERT = re.compile(
    r"\bINTO\s[^()\n]{1,200}\((?P<columns>[^()]{1,2000})\)\s{0,40}"
    r"(?:(?:OVERRIDING|OUTPUT)\s[^()]{1,60}\s)?VALUES\s{0,40}(?=\()",
    re.IGNORECASE,
)
# The contents of its rows. In an exception's arguments, as Python writes them, quotes are escaped.
_PIECE = re.compile(
    r"(?P<plain>[^'\"();\\]+|\\[nrt])|(?P<bracket>[()])"
    r"|(?P<open>\\?')(?:[^'\\]|''|\\[^'])*(?P<close>\\?'|\Z)"
    r"|(?P<double>\\?\")(?:[^\"\\]|\"\"|\\[^\"])*(?P<end>\\?\"|\Z)"
)
_COLUMN = re.compile(r"\w+")


def without_secret_columns(text: str) -> str:
    """The text without the literals of rows that fill a secret column."""
    if "VALUES" not in text and "values" not in text:
        return text  # nearly all
    parts: list[str] = []
    kept = position = 0
    while (found := _INSERT.search(text, position)) is not None:
        position = found.end()
        columns = _COLUMN.findall(found["columns"])
        if any(secrecy_of(each) is Secrecy.SECRET for each in columns):
            rows, position = _rows(text, position)
            parts += (text[kept : found.end()], rows)
            kept = position
    return "".join([*parts, text[kept:]])


def _rows(text: str, start: int) -> tuple[str, int]:
    """The rows that begin there, without their literals, and their end."""
    parts: list[str] = []
    position, depth = start, 0
    while (found := _PIECE.match(text, position)) is not None:
        if depth == 0 and found["plain"] is not None and found["plain"].strip(", \n\t"):
            break
        quote = found["open"] or found["double"]
        if quote is not None and depth == 0:
            break  # the end of the quoted statement
        if quote is not None and quote != (found["close"] or found["end"]):
            # It has no end, or an ambiguous one.
            return "".join([*parts, MASK]), len(text)
        depth += (found[0] == "(") - (found[0] == ")")
        parts.append(f"{quote}{MASK}{quote}" if quote is not None else found[0])
        position = found.end()
    return "".join(parts), position
