"""The shape of a statement: whatever an application has written into its SQL is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound import sqlshape
from slowhound.sqlshape import sql_shape

SHAPES = [
    (r"SELECT E'a\'secret', 1", "SELECT ?, ?"),
    (
        "SELECT N'secret', U&'s\\0061', B'101', X'1FF', _utf8'secret', n'x'",
        "SELECT ?, ?, ?, ?, ?, ?",
    ),
    ("SELECT 'secret'::text, CAST('secret' AS text)", "SELECT ?::text, CAST(? AS text)"),
    ("SELECT 1_000_000, 0xFF, 0b11, .5, 1., 1e-5, 12abc", "SELECT ?, ?, ?, ?, ?, ?, ?"),
    ("SELECT a #> '{secret}', b -> 'secret' FROM t2", "SELECT a #> ?, b -> ? FROM t2"),
    ('SELECT * FROM u WHERE p = "secret"', "SELECT * FROM u WHERE p = ?"),
    ('SELECT * FROM u WHERE p IN ("secret", "secret")', "SELECT * FROM u WHERE p IN (?)"),
    ('INSERT INTO u VALUES ("secret", "secret")', "INSERT INTO u VALUES (?)"),
    ('SELECT f("secret") FROM `t`', "SELECT f(?) FROM `t`"),
    ("SELECT `it's` FROM t WHERE x = 'secret'", "SELECT `it's` FROM t WHERE x = ?"),
    ("SELECT 1 /* a /* b */ secret */ FROM t", "SELECT ? FROM t"),
    ("SELECT 1 /* secret", "SELECT ?"),
    ("SELECT q'[it's secret]', nq'{secret}', q'!it's!' FROM d", "SELECT ?, ?, ? FROM d"),
    ("COPY t (a) FROM STDIN WITH CSV; 1,secret\n2,secret", "COPY t (a) FROM STDIN WITH CSV;?"),
    ("SELECT 'secret", "SELECT ?"),
    ("SELECT 'secret\\", "SELECT ?"),
    ('SELECT "secret\\', "SELECT ?"),
    ("SELECT $a$it's $$ secret$a$, $$secret", "SELECT ?, ?"),
    ("SELECT ?1, :1, $1, %s, %(secret)s", "SELECT ?, :?, ?, ?, ?"),
    ("SET PASSWORD FOR ada = 'secret'", "SET PASSWORD FOR ada = ?"),
    ('PRAGMA key = "secret"', "PRAGMA key = ?"),
    # Only one of the two can be a whole statement.
    (r"SELECT 'a\' FROM t WHERE x = 'secret'", "SELECT ? FROM t WHERE x = ?"),
    # Names stay.
    ('SELECT x IN ("a", "t"."b")', 'SELECT x IN ("a", "t"."b")'),
    (
        'UPDATE "t" SET "n" = ("t"."n" + 1), "m" = %s WHERE "t"."id" IN (1, 2)',
        'UPDATE "t" SET "n" = ("t"."n" + ?), "m" = ? WHERE "t"."id" IN (?)',
    ),
    (
        'SELECT "a"."x" AS "b" FROM "a" INNER JOIN "b" ON ("a"."id" = "b"."a_id") LIMIT 21',
        'SELECT "a"."x" AS "b" FROM "a" INNER JOIN "b" ON ("a"."id" = "b"."a_id") LIMIT ?',
    ),
]


@pytest.fixture
def _mysql() -> Iterator[None]:
    sqlshape.double_quotes_are_text()
    yield
    sqlshape._double_quotes_are_text = False
    sqlshape._shape.cache_clear()


@pytest.mark.parametrize(("sql", "shape"), SHAPES)
def test_statement_has_a_shape_without_values(sql: str, shape: str) -> None:
    """Strings of every database, numbers, comments and what follows a COPY are gone."""
    assert sql_shape(sql) == shape
    assert "secret" not in shape
    assert sql_shape(shape) == shape


@pytest.mark.parametrize(
    "sql",
    [
        r"SELECT 'a\', \'secret', 'b' FROM t",
        "SELECT 1 # don't\nWHERE x = 'secret'",
    ],
)
def test_statement_that_can_be_read_in_two_ways_is_cut(sql: str) -> None:
    """A backslash ends a text or does not, and a # begins a comment or is an operator."""
    assert sql_shape(sql) == "SELECT ?"


@pytest.mark.usefixtures("_mysql")
def test_double_quotes_hold_no_names_in_mysql() -> None:
    """From the first connection to MySQL on."""
    assert sql_shape('SELECT MD5("secret") FROM t') == "SELECT MD5(?) FROM t"


@given(st.lists(st.sampled_from(["a", "'", "''", "--", "/*", "*/", "$$", "\n", " ", "(", "%s"])))
def test_literal_is_gone_whatever_stands_in_it(parts: list[str]) -> None:
    """A value that is quoted as the standard says can hold anything."""
    value = "".join(parts).replace("'", "''")
    assert sql_shape(f"SELECT * FROM t WHERE x = '{value}' AND y = 1") == (
        "SELECT * FROM t WHERE x = ? AND y = ?"
    )


@given(st.text(alphabet="ab'\"`\\$#-/*()%s ?1eEqQ[]\n,.;", max_size=60))
def test_any_text_has_a_shape(sql: str) -> None:
    """Nothing fails, and the shape of a shape has no more in it than the shape."""
    assert len(sql_shape(sql_shape(sql))) <= 500


def test_huge_statement_is_cut() -> None:
    """A bulk insert of ten megabytes."""
    huge = "INSERT INTO t VALUES " + "('secret', 1), " * 700_000
    assert sql_shape(huge).startswith("INSERT INTO t VALUES (?)")
    assert "secret" not in sql_shape(huge)
