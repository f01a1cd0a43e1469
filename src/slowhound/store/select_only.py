"""May this SQL of a person's be asked of DuckDB? One SELECT over ``events``, and nothing else.

What the database may open is shut before (``connections.shut``); this is about what is inside: its
settings, its tables of itself, other statements. DuckDB gives the syntax tree of a SELECT as JSON,
and of nothing that is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from slowhound.runtime.library_names import NOT_JSON
from slowhound.store.answer import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# How a question begins, behind remarks. DuckDB 1.x puts SELECTs of its own in the place of PRAGMA
# and IMPORT DATABASE while it parses, out of files if need be: those never get so far. Nor does a
# remark within a remark: where that ends, DuckDB may see otherwise.
QUESTION = re.compile(
    r"(?:\s|\(|--[^\n]*+|/\*(?:[^*/]++|\*(?!/)|/(?!\*))*\*/)*"
    r"(?:SELECT|WITH|FROM|VALUES|TABLE|DESCRIBE|SUMMARIZE|SHOW)\b",
    re.IGNORECASE,
)
# Table functions that make rows of their arguments. All others read something.
ROWS = frozenset(
    (
        *("generate_series", "generate_subscripts", "json_each", "json_tree", "range", "repeat"),
        *("regexp_split_to_table", "unnest"),
    )
)
# Functions that tell of the process, the database or its user, or that wait.
TELLING = re.compile(
    "__.*|current_(?!date$|localtime$|localtimestamp$|timestamp$|time$).*|curr?val|duckdb_.*"
    "|format_(pg_)?type|get_(block_size|type|users?)|getenv|getvariable|has_.*privilege|in_search_path"
    "|inet_.*|json_(de)?serialize_.*|json_execute.*|(col|obj|shobj)_description|map_.*_oid|nextval"
    "|parse_duckdb_.*|pg_(?!typeof$|size_pretty$).*|pragma_.*|query.*|read_.*|session_user|setval"
    "|sleep.*|stats|txid_current|user|vector_type|version|which_.*|write_log",
    re.IGNORECASE,
)
# What WITH may not call its own: outside of it the name would be a table of the database's, a view
# of ours, or a file, and which of them is meant depends on the place.
TAKEN = re.compile(
    r"(duckdb|information|pg|pragma|sqlite)_.*|every_line|.*[./\\:].*", re.IGNORECASE | re.DOTALL
)
_decode = msgspec.json.Decoder().decode


def one_select(connection: DuckDBPyConnection, text: str) -> str:
    """The SELECT that the text is; no other connection's settings or tables are needed for that.

    Raises:
        StoreError: it is none, or reads something else than events.
    """
    import duckdb

    if QUESTION.match(text):
        statements = connection.extract_statements(text)
        if len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT:
            wanted = str(statements[0].query)  # some spaces have become others
            _check(_tree(connection, wanted))
            return wanted
    raise StoreError("one SELECT is what can be asked here")


def _tree(connection: DuckDBPyConnection, text: str) -> Any:
    row = connection.execute("SELECT json_serialize_sql($1::VARCHAR)::VARCHAR", [text]).fetchone()
    try:
        tree = _decode(row[0]) if row else None
    except NOT_JSON:
        tree = None  # deeper than can be looked into
    if not isinstance(tree, dict) or tree.get("error") is not False:
        raise StoreError("one SELECT is what can be asked here, and a simpler one")
    return tree


def _check(tree: Any) -> None:
    nodes = list(_nodes(tree))
    given = {str(entry.get("key")).lower() for entry in _entries(nodes)}
    for name in given:
        if TAKEN.fullmatch(name):
            raise _refused(name)
    for node in nodes:
        _check_node(node, {"events", *given})


def _check_node(node: dict[str, Any], tables: set[str]) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        place = [str(node.get(each) or "") for each in ("catalog_name", "schema_name")]
        name = str(node.get("table_name")).lower()
        if any(place) or name not in tables:
            raise _refused(".".join([each for each in place if each] + [name]))
    elif kind == "SHOW_REF":
        name = str(node.get("table_name") or "events").lower()
        if name.strip('"') != "events" or name == '"events"':
            raise _refused(name)
    elif kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name")).lower()
        if name not in ROWS:
            raise _refused(name)
    if "function_name" in node and TELLING.fullmatch(str(node["function_name"])):
        raise _refused(str(node["function_name"]))


def _refused(name: str) -> StoreError:
    return StoreError(f"only events can be asked, not {name}")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    todo = [tree]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            yield each
            todo += each.values()
        elif isinstance(each, list):
            todo += each


def _entries(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What WITH gives, wherever it stands."""
    for node in nodes:
        given = node.get("cte_map")
        found = given.get("map") if isinstance(given, dict) else None
        yield from (each for each in found or () if isinstance(each, dict))
