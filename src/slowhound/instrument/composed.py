"""The text of a statement that is not a str: Psycopg's ``sql.SQL`` and its kin, or bytes.

Psycopg makes the text by asking each part for its own. A literal asks whatever shows the
application's object to the database, and may need the connection for that; it is no part of the
statement's shape, so it is left out.
"""

from __future__ import annotations

import sys
from typing import Any

from slowhound.redaction.plain_data import as_text
from slowhound.runtime.static_lookup import in_classes

MODULES = ("psycopg.sql", "psycopg2.sql")
# A statement of more parts, or of parts in each other, is told so far.
PARTS, DEPTH = 2_000, 20
LITERAL = "?"
_WAYS = ("as_string", "as_bytes", "__iter__")


def text_of(sql: Any) -> str:
    """The statement, without its literals."""
    parts = list[str]()
    _add(sql, parts, DEPTH)
    return "".join(parts)


def _add(sql: Any, parts: list[str], depth: int) -> None:
    name, known = _known(sql)
    if len(parts) >= PARTS or depth <= 0:
        return
    if name == "Composed":
        for each in list(known.__iter__(sql)):
            _add(each, parts, depth - 1)
    elif name == "Literal":
        parts.append(LITERAL)
    elif name == "Identifier" and hasattr(known, "strings"):  # psycopg2's wants a connection
        parts.append(".".join([f'"{as_text(each)}"' for each in sql.strings]))
    else:
        parts.append(as_text(sql if name is None else known.as_string(sql, None)))


def _known(sql: Any) -> tuple[str | None, Any]:
    """Which of the libraries' classes it is of; None: of none, or it does something else."""
    kind = type(sql)
    for module in MODULES:
        for name in ("SQL", "Composed", "Identifier", "Literal", "Placeholder"):
            known = getattr(sys.modules.get(module), name, None)
            if (
                (known is not None)
                and issubclass(kind, known)
                and all(in_classes(kind, way) is in_classes(known, way) for way in _WAYS)
            ):
                return name, known
    return None, None
