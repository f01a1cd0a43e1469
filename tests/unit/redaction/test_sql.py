"""The shape of a statement: whatever an application has written into its SQL is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.redaction import sql
from slowhound.redaction.sql import sql_shape, sql_statement

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
    ('SELECT x IN ("t"."a", "b"."c")', 'SELECT x IN ("t"."a", "b"."c")'),
    (
        'UPDATE "t" SET "n" = ("t"."n" + 1), "m" = %s WHERE "t"."id" IN (1, 2)',
        'UPDATE "t" SET "n" = ("t"."n" + ?), "m" = ? WHERE "t"."id" IN (?)',
    ),
    (
        'SELECT "a"."x" AS "b" FROM "a" INNER JOIN "b" ON ("a"."id" = "b"."a_id") LIMIT 21',
        'SELECT "a"."x" AS "b" FROM "a" INNER JOIN "b" ON ("a"."id" = "b"."a_id") LIMIT ?',
    ),
]
# What is generated of names, and what only has digits.
NAMES = [
    ('SAVEPOINT "s139733481671552_x1"', "SAVEPOINT ?"),
    ("RELEASE SAVEPOINT `s139733481671552_x1`", "RELEASE SAVEPOINT ?"),
    ('rollback to savepoint "s1_x2"', "rollback to savepoint ?"),
    ("ROLLBACK WORK TO sa_savepoint_4; SELECT 1", "ROLLBACK WORK TO ?; SELECT ?"),
    ("SAVE TRANSACTION [s139_x1]", "SAVE TRANSACTION ?"),
    ("ROLLBACK TRANSACTION", "ROLLBACK TRANSACTION"),
    ("ROLLBACK", "ROLLBACK"),
    ("SELECT savepoint FROM release", "SELECT savepoint FROM release"),
    (
        'DECLARE "_django_curs_140_sync_3" CURSOR FOR SELECT a FROM t',
        "DECLARE _django_curs_?_sync_? CURSOR FOR SELECT a FROM t",
    ),
    ("FETCH FORWARD 100 FROM c_12", "FETCH FORWARD ? FROM c_?"),
    ("MOVE c2; CLOSE c2", "MOVE c?; CLOSE c?"),
    ("PREPARE stmt_7 AS SELECT 1", "PREPARE stmt_? AS SELECT ?"),
    ("EXECUTE get_user_7(1, 2)", "EXECUTE get_user_?(?)"),
    ("DEALLOCATE PREPARE p3", "DEALLOCATE PREPARE p?"),
    (
        "CREATE TEMPORARY TABLE IF NOT EXISTS t9 (a int)",
        "CREATE TEMPORARY TABLE IF NOT EXISTS t? (a int)",
    ),
    ("INSERT INTO tmp_3f2a (a) SELECT 1", "INSERT INTO tmp_? (a) SELECT ?"),
    ('DROP TABLE "batch_0b8e2c1a4f"', "DROP TABLE batch_?"),
    ("SELECT * FROM load_1701305999123 l", "SELECT * FROM load_? l"),
    ("SELECT * FROM import_x7k2qz9w", "SELECT * FROM import_?"),
    ("SELECT * FROM #t12", "SELECT * FROM #t?"),
    ("SAVEPOINT é1", "SAVEPOINT ?"),
    ("SAVEPOINT [a]]b1]", "SAVEPOINT ?"),
    ("BEGIN TRANSACTION t1; COMMIT TRAN t1", "BEGIN TRANSACTION ?; COMMIT TRAN ?"),
    ("BEGIN TRANSACTION READ ONLY", "BEGIN TRANSACTION READ ONLY"),
    ("XA START 'x1', 'b1', 1", "XA START ?"),
    ('/* a */ XA COMMIT "x1" ONE PHASE', "XA COMMIT ? ONE PHASE"),
    ("PREPARE TRANSACTION 'secret'", "PREPARE TRANSACTION ?"),
    ("ROLLBACK PREPARED 'it''s secret'", "ROLLBACK PREPARED ?"),
    (
        "SELECT * FROM import_5f1c2b7e_1d2a_4c3b_9f00_aabbccddeeff i",
        "SELECT * FROM import_? i",
    ),
    # These are nobody's but the application's.
    ("SELECT x1y1x2y2, a1b1a2b2 FROM boxes", "SELECT x1y1x2y2, a1b1a2b2 FROM boxes"),
    ("SELECT i18nl10n, added2024 FROM a", "SELECT i18nl10n, added2024 FROM a"),
    ("SELECT is_i18nl10n, x_facade01 FROM a", "SELECT is_i18nl10n, x_facade01 FROM a"),
    ("SELECT h264mp4k2 FROM h1n1h3n2", "SELECT h264mp4k2 FROM h1n1h3n2"),
    ("NOTIFY orders1", "NOTIFY orders1"),
    (
        'SELECT utf8mb4, sha256, temp_1, T3."id" FROM "auth_user2" T3 JOIN events_20240101 e',
        'SELECT utf8mb4, sha256, temp_1, T3."id" FROM "auth_user2" T3 JOIN events_20240101 e',
    ),
]


@pytest.fixture
def _mysql() -> Iterator[None]:
    sql.double_quotes_are_text()
    yield
    sql._double_quotes_are_text = False
    sql._shape.cache_clear()
    sql._statement.cache_clear()


@pytest.mark.parametrize(("sql", "shape"), SHAPES)
def test_statement_has_a_shape_without_values(sql: str, shape: str) -> None:
    """Strings of every database, numbers, comments and what follows a COPY are gone."""
    assert sql_shape(sql) == shape
    assert "secret" not in shape
    assert sql_shape(shape) == shape


@pytest.mark.parametrize(("sql", "shape"), NAMES)
def test_generated_names_fold(sql: str, shape: str) -> None:
    """Generated names of savepoints, cursors, statements and temporary tables; no others."""
    assert sql_shape(sql) == shape
    assert sql_shape(shape) == shape
    assert sql_shape(sql_statement(sql)) == shape


def test_statement_keeps_its_literals() -> None:
    """Runs of a statement are counted apart by those; comments and generated names are gone."""
    sql = "/* a */ SELECT 'tmp_1 -- x', \"b\", 12 FROM tmp_1 -- c\n WHERE d = 'it''s /* d */'"
    assert " ".join(sql_statement(sql).split()) == (
        "SELECT 'tmp_1 -- x', \"b\", 12 FROM tmp_? WHERE d = 'it''s /* d */'"
    )


SAME = (
    ('SAVEPOINT "a""b1"', 'SAVEPOINT "a""b2"'),
    ("SAVEPOINT `a``b1`", "SAVEPOINT `a``b2`"),
    ("/* 1 */ PREPARE TRANSACTION 'x1'", "/* 2 */ PREPARE TRANSACTION 'x2'"),
    ("XA END X'01'", "XA END X'02'"),
    ("XA ROLLBACK 0x01", "XA ROLLBACK 0x02"),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_of_one_transaction_make_no_new_statement(one: str, other: str) -> None:
    """Whatever quotes they stand in."""
    assert sql_statement(one).strip() == sql_statement(other).strip()


@pytest.mark.parametrize("comment", ["/* 1 */", "/*traceparent='00-2'*/"])
def test_statement_of_megabytes_is_cut(comment: str) -> None:
    """Without its comment, and its length tells it from others that begin alike."""
    huge = "INSERT INTO t VALUES " + "('secret'), " * 700_000
    found = sql_statement(f"{huge}{comment}")
    assert found == sql_statement(huge.rstrip())
    assert len(found) < 5_000


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
    sql_statement(sql)
    assert len(sql_shape(sql_shape(sql))) <= 500


def test_huge_statement_is_cut() -> None:
    """A bulk insert of ten megabytes."""
    huge = "INSERT INTO t VALUES " + "('secret', 1), " * 700_000
    assert sql_shape(huge).startswith("INSERT INTO t VALUES (?)")
    assert "secret" not in sql_shape(huge)
