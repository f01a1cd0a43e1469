"""What databases quote in their errors: a row, a key, a value, a line of the statement."""

from __future__ import annotations

import re

from slowhound.redaction.sql import sql_shape
from slowhound.redaction.values import MASK

# PostgreSQL shows a row, a key, a line of the statement.
# Where a quotation has no end, the rest of its line goes: it was cut, or there are many of them,
# and each would look for its end anew.
_QUOTED = re.compile(
    r"(?P<key>\bKey \([^()]*+\)=)\((?:.*?\)(?= |$)|.*)"
    r"|(?P<row>\bFailing row contains )\((?:.*\)|.*)"
    r"|(?P<entry>\bDuplicate entry )'(?:.*?'(?= for key)|.*)"
    r"|(?P<syntax>\bsyntax for (?:type )?[\w ]{1,40}: )\"[^\n]*\""
    r"|(?P<value>\b[Ii]ncorrect \w{1,20} value: )'(?:.*?'(?= for)|.*)"
    # People say "near", too: a short line stays.
    r"|(?P<near>\bnear )(?:'(?:.*?'(?= at line|$)|.{200}.*)|\"[^\"]*+\")"
    r"|(?P<line>^LINE \d+: )[^\n]*(?:\n[ ]*\^)?",
    re.MULTILINE,
)


def without_quoted(text: str) -> str:
    """The text of an error without the values that a database has put into it."""
    return _QUOTED.sub(_without, text)


def _without(found: re.Match[str]) -> str:
    kind = found.lastgroup
    assert kind is not None
    shown = found[kind]
    return shown + (sql_shape(found[0][len(shown) :]) if kind == "line" else MASK)
