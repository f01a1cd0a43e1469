"""One SQL text for two engines: the four words in which DuckDB and ClickHouse differ.

======================  ======================================  ===================================
written                 DuckDB                                  ClickHouse
======================  ======================================  ===================================
``quantile(0.95, x)``   ``quantile_cont(x, 0.95)``              ``quantileExactInclusive(0.95)(x)``
``countif(x > 1)``      ``count(CASE WHEN x > 1 THEN 1 END)``   ``countIf(x > 1)``
``argmax(x, by)``       ``arg_max(x, by)``                      ``argMax(x, by)``
``explode(db_top, q)``  ``, unnest(db_top) AS _q(q)``           ``ARRAY JOIN db_top AS q``
======================  ======================================  ===================================

``explode`` stands right behind ``FROM events``; ``q.fingerprint`` and its kin are then columns.
The first argument of ``quantile`` is a number. Values are bound: ``$since``, ``$limit``.

What else to keep to, so that both give the same:

* ``CASE``, ``coalesce``, ``floor``, ``concat``, ``lower``, ``min``, ``max``, ``sum``, ``avg``,
  ``row_number() OVER`` and plain joins are the same; ``/`` divides as floats. No ``round`` (they
  round halves differently), no dates (``ts`` is seconds since 1970), no regular expressions.
* An alias must not be the name of a column that the same SELECT uses: ClickHouse takes the alias.
* What is not there is NULL, also in ``app['app_plan']``; NULL comes last in any order.
* Of no rows, or of nothing but NULL, a count is 0 and every other aggregate is NULL.
* Numbers out of ``app`` are cast: ``CAST(app['app_items'] AS DOUBLE)``.
* Ties: end each ORDER BY with something that is unique.
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
_VALUE = re.compile(r"\$([a-z_]+)\b")
_EVENTS = re.compile(r"\b(FROM|JOIN)(\s+)events\b", re.IGNORECASE)

# Texts, quoted names and remarks, in which no word is the shim's; ClickHouse knows backslashes. One
# without an end takes all the rest: whoever looked for the end again from each further sign would
# take a time that grows with the square of a person's text.
_REMARKS = r"|\"(?:[^\"]|\"\")*(?:\"|\Z)|--[^\n]*+|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z)"
_NO_CODE_OF_DUCKDB = re.compile(r"'(?:[^']|'')*(?:'|\Z)" + _REMARKS, re.DOTALL)
_NO_CODE_OF_CLICKHOUSE = re.compile(
    r"'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)|`(?:[^`\\]|\\.|``)*(?:`|\\?\Z)" + _REMARKS, re.DOTALL
)
# What may stand behind a table without being its other name.
_NO_NAMES = (
    "all|anti|any|array|asof|cross|except|fetch|final|format|full|global|group|having|inner"
    "|intersect|into|join|left|limit|natural|offset|on|order|paste|prewhere|qualify|right|sample"
    "|semi|settings|union|using|where|window|with"
)
_OTHER_NAME = re.compile(rf"\s+(?!(?:{_NO_NAMES})\b)[A-Za-z_]|\s*[\"`]", re.IGNORECASE)

# What DuckDB does not have by itself, or otherwise: its own countif of nothing but NULL is NULL.
DUCKDB_MACROS = (
    "CREATE OR REPLACE TEMP MACRO quantile(q, x) AS quantile_cont(x, q);"
    "CREATE OR REPLACE TEMP MACRO countif(x) AS count(CASE WHEN x THEN 1 END)"
)
_TYPES = {bool: "Bool", int: "Int64", float: "Float64", str: "String"}


def for_duckdb(text: str) -> str:
    """``text`` for DuckDB, in which ``DUCKDB_MACROS`` were made."""
    return _in_code(_NO_CODE_OF_DUCKDB, _EXPLODE, r", unnest(\1) AS _\2(\2)", text)


def for_clickhouse(text: str, table: str, parameters: Mapping[str, Any]) -> str:
    """``text`` for ClickHouse; ``table`` stands for ``events``, parameters are typed."""

    def named(found: re.Match[str]) -> str:
        # A second name would be an error; without one, ``events.ts`` has to be known.
        own = _OTHER_NAME.match(found.string, found.end())
        return f"{found[1]}{found[2]}{table}" + ("" if own else " AS events")

    for word, its in (
        (_QUANTILE, r"quantileExactInclusive(\1)("),
        (_EXPLODE, r"ARRAY JOIN \1 AS \2"),
        (_COUNTIF, "countIf("),
        (_ARGMAX, "argMax("),
        (_EVENTS, named),
        (_VALUE, lambda found: _typed(found, parameters)),
    ):
        text = _in_code(_NO_CODE_OF_CLICKHOUSE, word, its, text)
    return text


def _in_code(
    no_code: re.Pattern[str],
    word: re.Pattern[str],
    its: str | Callable[[re.Match[str]], str],
    text: str,
) -> str:
    """``text`` with this word as the engine has it, wherever it is one."""
    spans = [found.span() for found in no_code.finditer(text)]

    def made(found: re.Match[str]) -> str:
        before = bisect_right(spans, (found.start(), len(text)))
        if before and found.start() < spans[before - 1][1]:
            return found[0]
        return found.expand(its) if isinstance(its, str) else its(found)

    return word.sub(made, text)


def _typed(found: re.Match[str], parameters: Mapping[str, Any]) -> str:
    name = found[1]
    if name not in parameters:
        return found[0]  # of a person's SQL, which has none: the engine says what it thinks of it
    return f"{{{name}:{_TYPES[type(parameters[name])]}}}"


def names_in(text: str) -> set[str]:
    """The names of the values that ``text`` needs."""
    return set(_VALUE.findall(text))
