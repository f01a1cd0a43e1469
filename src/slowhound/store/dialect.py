"""Translates the SQL of questions for DuckDB and ClickHouse, which differ in four constructs.

======================  ======================================  ===================================
written                 DuckDB                                  ClickHouse
======================  ======================================  ===================================
``quantile(0.95, x)``   ``quantile_cont(x, 0.95)``              ``quantileExactInclusive(0.95)(x)``
``countif(x > 1)``      ``count(CASE WHEN x > 1 THEN 1 END)``   ``countIf(x > 1)``
``argmax(x, by)``       ``arg_max(x, by)``                      ``argMax(x, by)``
``explode(db_top, q)``  ``, unnest(db_top) AS _q(q)``           ``ARRAY JOIN db_top AS q``
======================  ======================================  ===================================

``explode`` follows directly after ``FROM events``; then ``q.fingerprint`` and the like are columns.
The first argument of ``quantile`` is a number. Values are bound: ``$since``, ``$limit``.

More rules, so that both engines return the same:

* ``CASE``, ``coalesce``, ``floor``, ``concat``, ``lower``, ``min``, ``max``, ``sum``, ``avg``,
  ``row_number() OVER`` and simple joins are the same; ``/`` divides as floats. No ``round`` (they
  round halves differently), no dates (``ts`` is seconds since 1970), no regular expressions.
* An alias must not be the name of a column that the same SELECT uses: ClickHouse takes the alias.
* A missing value is NULL, also in ``app['app_plan']``; NULL comes last in any order.
* Of no rows, or only NULL, a count is 0 and every other aggregate is NULL.
* Cast numbers in ``app``: ``CAST(app['app_items'] AS DOUBLE)``.
* End each ORDER BY with something unique, so that ties have one order.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

_QUANTILE = re.compile(r"\bquantile\(\s*([0-9.]+)\s*,\s*")
_EXPLODE = re.compile(r"\bexplode\(\s*(\w+)\s*,\s*(\w+)\s*\)")
_COUNTIF = re.compile(r"\bcountif\(")
_ARGMAX = re.compile(r"\bargmax\(")
_PARAMETER = re.compile(r"\$([a-z_]+)\b")
_EVENTS_TABLE = re.compile(r"\b(FROM|JOIN)(\s+)events\b", re.IGNORECASE)

# Texts, quoted names and comments, which are not translated; ClickHouse has backslash escapes. One
# without an end extends to the end of the text: searching for its end again from each later quote
# would take time quadratic in the length of such a text.
_COMMENTS = r"|\"(?:[^\"]|\"\")*(?:\"|\Z)|--[^\n]*+|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z)"
_NOT_CODE_IN_DUCKDB = re.compile(r"'(?:[^']|'')*(?:'|\Z)" + _COMMENTS, re.DOTALL)
_NOT_CODE_IN_CLICKHOUSE = re.compile(
    r"'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)|`(?:[^`\\]|\\.|``)*(?:`|\\?\Z)" + _COMMENTS, re.DOTALL
)
# Words that may follow a table without being its alias.
_NO_ALIASES = (
    "all|anti|any|array|asof|cross|except|fetch|final|format|full|global|group|having|inner"
    "|intersect|into|join|left|limit|natural|offset|on|order|paste|prewhere|qualify|right|sample"
    "|semi|settings|union|using|where|window|with"
)
_TABLE_ALIAS = re.compile(rf"\s+(?!(?:{_NO_ALIASES})\b)[A-Za-z_]|\s*[\"`]", re.IGNORECASE)

# What DuckDB lacks, or defines differently: its own countif of only NULL is NULL.
DUCKDB_MACROS = (
    "CREATE OR REPLACE TEMP MACRO quantile(q, x) AS quantile_cont(x, q);"
    "CREATE OR REPLACE TEMP MACRO countif(x) AS count(CASE WHEN x THEN 1 END)"
)
_TYPES = {bool: "Bool", int: "Int64", float: "Float64", str: "String"}


def for_duckdb(text: str) -> str:
    """``text`` for DuckDB, in which ``DUCKDB_MACROS`` were made."""
    return _replace(_NOT_CODE_IN_DUCKDB, _EXPLODE, r", unnest(\1) AS _\2(\2)", text)


def for_clickhouse(text: str, table: str, parameters: Mapping[str, Any]) -> str:
    """``text`` for ClickHouse; ``table`` stands for ``events``, parameters are typed."""

    def named(found: re.Match[str]) -> str:
        # A second alias would be an error; without one, ``events.ts`` must be a valid name.
        alias = _TABLE_ALIAS.match(found.string, found.end())
        return f"{found[1]}{found[2]}{table}" + ("" if alias else " AS events")

    for pattern, replacement in (
        (_QUANTILE, r"quantileExactInclusive(\1)("),
        (_EXPLODE, r"ARRAY JOIN \1 AS \2"),
        (_COUNTIF, "countIf("),
        (_ARGMAX, "argMax("),
        (_EVENTS_TABLE, named),
        (_PARAMETER, lambda found: _typed(found, parameters)),
    ):
        text = _replace(_NOT_CODE_IN_CLICKHOUSE, pattern, replacement, text)
    return text


def _replace(
    not_code: re.Pattern[str],
    pattern: re.Pattern[str],
    replacement: str | Callable[[re.Match[str]], str],
    text: str,
) -> str:
    """Replaces the pattern in ``text``, except within texts, quoted names and comments."""
    spans = [found.span() for found in not_code.finditer(text)]

    def made(found: re.Match[str]) -> str:
        before = bisect_right(spans, (found.start(), len(text)))
        if before and found.start() < spans[before - 1][1]:
            return found[0]
        return found.expand(replacement) if isinstance(replacement, str) else replacement(found)

    return pattern.sub(made, text)


def _typed(found: re.Match[str], parameters: Mapping[str, Any]) -> str:
    name = found[1]
    if name not in parameters:
        return found[0]  # in ad-hoc SQL, which has no values: the engine reports the error
    return f"{{{name}:{_TYPES[type(parameters[name])]}}}"


def names_in(text: str) -> set[str]:
    """The names of the values that ``text`` needs."""
    return set(_PARAMETER.findall(text))
