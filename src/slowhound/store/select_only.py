"""Checks that ad-hoc SQL for DuckDB is one SELECT over ``events`` and nothing else.

``connections.restrict`` already limits what the database may open. This is about the database
itself: its settings, its system tables, other statements. DuckDB returns the syntax tree of a
SELECT as JSON, and of no other statement.
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

# The beginning of a SELECT, after comments. While parsing, DuckDB 1.x replaces PRAGMA and IMPORT
# DATABASE by SELECTs of its own, which may read files: so those are never parsed. Nor are nested
# comments: DuckDB may see another end of them.
SELECT_START = re.compile(
    r"(?:\s|\(|--[^\n]*+|/\*(?:[^*/]++|\*(?!/)|/(?!\*))*\*/)*"
    r"(?:SELECT|WITH|FROM|VALUES|TABLE|DESCRIBE|SUMMARIZE|SHOW)\b",
    re.IGNORECASE,
)
# Table functions that make rows of their arguments. All others read something else.
ROW_FUNCTIONS = frozenset(
    (
        *("generate_series", "generate_subscripts", "json_each", "json_tree", "range", "repeat"),
        *("regexp_split_to_table", "unnest"),
    )
)
# Functions that reveal something of the process, the database or its user, or that wait.
REVEALING_FUNCTIONS = re.compile(
    "__.*|current_(?!date$|localtime$|localtimestamp$|timestamp$|time$).*|curr?val|duckdb_.*"
    "|format_(pg_)?type|get_(block_size|type|users?)|getenv|getvariable|has_.*privilege|in_search_path"
    "|inet_.*|json_(de)?serialize_.*|json_execute.*|(col|obj|shobj)_description|map_.*_oid|nextval"
    "|parse_duckdb_.*|pg_(?!typeof$|size_pretty$).*|pragma_.*|query.*|read_.*|session_user|setval"
    "|sleep.*|stats|txid_current|user|vector_type|version|which_.*|write_log",
    re.IGNORECASE,
)
# Names that WITH must not define: elsewhere they are a table of the database, a view of slowhound,
# or a file, and which one is read depends on where the name is used.
RESERVED_NAMES = re.compile(
    r"(duckdb|information|pg|pragma|sqlite)_.*|every_line|.*[./\\:].*", re.IGNORECASE | re.DOTALL
)
_decode = msgspec.json.Decoder().decode


def one_select(connection: DuckDBPyConnection, text: str) -> str:
    """The SELECT in the text.

    Raises:
        StoreError: the text is no SELECT, or reads anything but events.
    """
    import duckdb

    if SELECT_START.match(text):
        statements = connection.extract_statements(text)
        if len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT:
            wanted = str(statements[0].query)  # with normalised white space
            _check(_tree(connection, wanted))
            return wanted
    raise StoreError("only one SELECT is allowed here")


def _tree(connection: DuckDBPyConnection, text: str) -> Any:
    row = connection.execute("SELECT json_serialize_sql($1::VARCHAR)::VARCHAR", [text]).fetchone()
    try:
        tree = _decode(row[0]) if row else None
    except NOT_JSON:
        tree = None  # nested too deep to be checked
    if not isinstance(tree, dict) or tree.get("error") is not False:
        raise StoreError("only one SELECT is allowed here, and a simpler one")
    return tree


def _check(tree: Any) -> None:
    nodes = list(_nodes(tree))
    with_names = {str(entry.get("key")).lower() for entry in _entries(nodes)}
    for name in with_names:
        if RESERVED_NAMES.fullmatch(name):
            raise refused(name)
    for node in nodes:
        _check_node(node, {"events", *with_names})


def _check_node(node: dict[str, Any], tables: set[str]) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        schema = [str(node.get(each) or "") for each in ("catalog_name", "schema_name")]
        name = str(node.get("table_name")).lower()
        if any(schema) or name not in tables:
            raise refused(".".join([each for each in schema if each] + [name]))
    elif kind == "SHOW_REF":
        name = str(node.get("table_name") or "events").lower()
        if name.strip('"') != "events" or name == '"events"':
            raise refused(name)
    elif kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name")).lower()
        if name not in ROW_FUNCTIONS:
            raise refused(name)
    if "function_name" in node and REVEALING_FUNCTIONS.fullmatch(str(node["function_name"])):
        raise refused(str(node["function_name"]))


def refused(name: str) -> StoreError:
    """The error for SQL that uses this name; for ClickHouse, too."""
    return StoreError(f"only events can be read, not {name}")


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
    """The definitions in every WITH."""
    for node in nodes:
        definitions = node.get("cte_map")
        found = definitions.get("map") if isinstance(definitions, dict) else None
        yield from (each for each in found or () if isinstance(each, dict))
