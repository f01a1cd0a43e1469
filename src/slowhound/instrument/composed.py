"""Makes the text of a statement that is not a str: Psycopg's ``sql`` classes, or bytes.

Psycopg composes the text of its parts. A literal calls the code that adapts the application's
object to the database, which may need the connection; it is no part of the statement's shape, so it
is left out.
"""

from __future__ import annotations

import sys
from typing import Any

from slowhound.redaction.plain_data import as_text
from slowhound.runtime.static_lookup import in_classes

MODULES = ("psycopg.sql", "psycopg2.sql")
# A statement of more parts, or with more levels, is cut there.
PARTS_LIMIT, DEPTH_LIMIT = 2_000, 20
LITERAL = "?"
_TEXT_METHODS = ("as_string", "as_bytes", "__iter__")


def text_of(sql: Any) -> str:
    """The statement, without its literals."""
    parts = list[str]()
    _add(sql, parts, DEPTH_LIMIT)
    return "".join(parts)


def _add(sql: Any, parts: list[str], depth: int) -> None:
    name, known = _known(sql)
    if len(parts) >= PARTS_LIMIT or depth <= 0:
        return
    if name == "Composed":
        for each in list(known.__iter__(sql)):
            _add(each, parts, depth - 1)
    elif name == "Literal":
        parts.append(LITERAL)
    elif name == "Identifier" and hasattr(known, "strings"):  # psycopg2's needs a connection
        parts.append(".".join([f'"{as_text(each)}"' for each in sql.strings]))
    else:
        parts.append(as_text(sql if name is None else known.as_string(sql, None)))


def _known(sql: Any) -> tuple[str | None, Any]:
    """Its class in the library; None for no such class, or a subclass that makes another text."""
    kind = type(sql)
    for module in MODULES:
        for name in ("SQL", "Composed", "Identifier", "Literal", "Placeholder"):
            known = getattr(sys.modules.get(module), name, None)
            if (
                (known is not None)
                and issubclass(kind, known)
                and all(in_classes(kind, each) is in_classes(known, each) for each in _TEXT_METHODS)
            ):
                return name, known
    return None, None
