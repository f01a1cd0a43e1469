"""A person's SQL reads events and nothing else, and not for longer than its bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slowhound.store.duckdb import QUESTION
from slowhound.store.ship import Shipper
from slowhound.store.source import LONGEST, Source, StoreError, open_source
from tests.store.events import EVENTS, segment

REFUSED = [
    "",
    ";",
    "SELEC",
    "SELECT 1; SELECT 2",
    "INSERT INTO events (ts) VALUES (1)",
    "CREATE TABLE t AS SELECT 1",
    "DROP TABLE events",
    "SET memory_limit = '9GB'",
]
ON_DUCKDB = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_parquet('/tmp/*.parquet')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_kv_metadata('/etc/passwd')",
    "SELECT * FROM read_csv('https://example.com/x.csv')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/x''')",
    "COPY (SELECT 1) TO '{folder}/x'",
    "COPY events TO '{folder}/events/x.parquet'",
    "EXPORT DATABASE '{folder}/x'",
    "ATTACH '{folder}/x.db'",
    "ATTACH ':memory:' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "pragma database_list /* SELECT * FROM pragma_database_list; */",
    "/* SELECT */ (PRAGMA show_tables)",
    "-- SELECT\nPRAGMA version",
    "/* SELECT */ PRAGMA version /* */ SELECT 1",
    "/* /* */ SELECT 1 */ PRAGMA version",
    "; PRAGMA database_list",
    "PRAGMA database_list; SELECT 1",
    "PRAGMA enable_external_access",
    "SET enable_external_access = true",
    "CALL pragma_version()",
    "EXPLAIN ANALYZE SELECT 1",
    "SELECT getenv('HOME')",
    "WITH x AS (INSERT INTO events VALUES (1)) SELECT 1",
    "UPDATE events SET ts = 1",
    "SELECT list(i) FROM range(100000000) t(i)",
]
ON_CLICKHOUSE = [
    "SELECT * FROM file('/etc/passwd', 'LineAsString', 'a String')",
    "SELECT file('/etc/passwd')",
    "SELECT FILE('/etc/passwd')",
    "SELECT 1 WHERE 1 IN (SELECT length(file('/etc/passwd')))",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT * FROM s3('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT * FROM remote('127.0.0.1', 'system', 'one')",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM merge('default', '.*')",
    "SELECT * FROM numbers(10)",
    "SELECT * FROM system.tables",
    "SELECT * FROM `system`.`tables`",
    "SELECT 1 IN system.one",
    "SELECT * FROM other",
    "SELECT * FROM default.other",
    "SELECT * FROM events, other",
    "SELECT dictGet('a', 'b', 1)",
    "SHOW TABLES",
    "EXPLAIN SELECT 1",
    "ALTER TABLE events DELETE WHERE 1",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 900",
    "SYSTEM SHUTDOWN",
]
LONG = {
    "files": "SELECT count(*) FROM range(100000000) a, range(1000000) b",
    "clickhouse": (
        "SELECT count() FROM (SELECT arrayJoin(range(1000000)) AS a) AS x"
        " CROSS JOIN (SELECT arrayJoin(range(1000000)) AS b) AS y WHERE sipHash64(a, b) = 1"
    ),
}
MANY = {
    "files": "SELECT * FROM range(5000)",
    "clickhouse": "SELECT arrayJoin(range(5000))",
}


@pytest.fixture(scope="module")
def sources(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Source]]:
    folder = tmp_path_factory.mktemp("adhoc")
    segment(folder, EVENTS)
    table = f"{server}/default?table=adhoc"
    shipper = Shipper(str(folder), table)
    shipper.connect()
    shipper._client.command("CREATE TABLE other (secret String) ENGINE = MergeTree ORDER BY secret")
    shipper.round()
    shipper.close()
    found = {"files": open_source(str(folder)), "clickhouse": open_source(table)}
    yield found
    for each in found.values():
        each.close()


@pytest.fixture(params=["files", "clickhouse"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("text", REFUSED)
def test_only_one_select_is_answered(sources: dict[str, Source], kind: str, text: str) -> None:
    """Everything else is refused with one line for people."""
    with pytest.raises(StoreError) as refused:
        sources[kind].adhoc(text)
    assert "\n" not in str(refused.value)
    assert sources[kind].adhoc("SELECT count(*) FROM events").rows == [(len(EVENTS),)]


@pytest.mark.parametrize("text", ON_DUCKDB)
def test_duckdb_reads_no_file_and_writes_none(
    sources: dict[str, Source], tmp_path: Path, text: str
) -> None:
    """Not by a function, a name, a setting or a statement; nor the whole memory."""
    with pytest.raises(StoreError):
        sources["files"].adhoc(text.format(folder=tmp_path), seconds=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ON_CLICKHOUSE)
def test_clickhouse_reads_no_other_table_and_no_file(sources: dict[str, Source], text: str) -> None:
    """Not by a function, a name or a setting."""
    with pytest.raises(StoreError):
        sources["clickhouse"].adhoc(text, seconds=5)


@pytest.mark.parametrize("text", ["IMPORT DATABASE '{}'", "PRAGMA import_database('{}')"])
def test_duckdb_parses_no_file(sources: dict[str, Source], tmp_path: Path, text: str) -> None:
    """DuckDB 1.4 takes what stands in one for the statement, or names its words in the error."""
    for content in ("SELECT 'secret'", "secret ="):
        (tmp_path / "schema.sql").write_text(content)
        (tmp_path / "load.sql").touch()
        with pytest.raises(StoreError) as refused:
            sources["files"].adhoc(text.format(tmp_path))
        assert "secret" not in str(refused.value)


@pytest.mark.slow
def test_what_takes_too_long_is_ended(sources: dict[str, Source], kind: str) -> None:
    """And the next is answered as if nothing had been."""
    with pytest.raises(StoreError, match=r"took longer|TIMEOUT|Timeout"):
        sources[kind].adhoc(LONG[kind], seconds=0.5)
    assert sources[kind].adhoc("SELECT 1 AS one").rows == [(1,)]


def test_rows_beyond_the_limit_are_left_out_and_told_of(
    sources: dict[str, Source], kind: str
) -> None:
    """A page or a terminal need not hold millions."""
    answer = sources[kind].adhoc(MANY[kind], rows=100)
    assert len(answer.rows) == 100
    assert answer.notes == ("only the first 100 rows are shown",)
    assert sources[kind].adhoc(MANY[kind], rows=5000).notes == ()


def test_long_texts_are_cut(sources: dict[str, Source], kind: str) -> None:
    """For the same reason."""
    ((text,),) = sources[kind].adhoc("SELECT repeat('x', 50000) AS x").rows
    assert text == "x" * LONGEST


def test_an_answer_without_rows_has_its_columns(sources: dict[str, Source], kind: str) -> None:
    """A table without heads says less than that there is nothing."""
    for text in ("SELECT ts AS a, pid FROM events WHERE ts < 0 -- none", "SELECT 1 AS a LIMIT 0;"):
        answer = sources[kind].adhoc(text)
        assert (answer.columns[0], answer.rows) == ("a", [])


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM events",
        "select count(*) from events;",
        "-- a remark\nSELECT count(*) FROM events",
        "WITH e AS (SELECT * FROM events) SELECT count(*) FROM e",
        "SELECT (SELECT count(*) FROM events)",
        "SELECT count(*) FROM (SELECT * FROM events UNION ALL SELECT * FROM events WHERE ts < 0)",
        "SELECT countif(ts > 0) FROM events",
        "SELECT\u00a0count(*) FROM events",
    ],
)
def test_selects_over_events_are_answered(sources: dict[str, Source], kind: str, text: str) -> None:
    """In all their forms, with the shim's words."""
    assert sources[kind].adhoc(text).rows == [(len(EVENTS),)]


@pytest.mark.parametrize(
    "text",
    [
        "(SELECT count(*) FROM events)",
        "/* PRAGMA */ -- twice\n\t( ( FROM events SELECT count(*)) ) ; -- and behind",
        "FROM (VALUES (1), (2), (4), (7)) AS t(n) SELECT sum(n)",
        "SELECT count(*) FROM events -- PRAGMA",
    ],
)
def test_duckdbs_own_forms_of_a_question_are_answered(
    sources: dict[str, Source], text: str
) -> None:
    """As long as it begins like one, behind remarks and parentheses."""
    assert sources["files"].adhoc(text).rows == [(len(EVENTS),)]


@pytest.mark.parametrize("start", ["/*", "-- ", "(", " ", "\n/**/", "/*/"])
def test_beginning_is_found_in_a_time_that_grows_with_the_text_only(start: str) -> None:
    """A person's text must not take long before it is even asked."""
    texts = [start * 20_000 + end for end in ("", "SELECT 1", "PRAGMA x", "*/ SELECT 1")]
    assert [QUESTION.match(text) is None for text in texts].count(True) >= 2


def test_union_cannot_hide_another_table(
    sources: dict[str, Source], new_table: Callable[[], str]
) -> None:
    """Every part of the statement is looked at."""
    for text in (
        "SELECT req_id FROM events UNION ALL SELECT secret FROM other",
        "WITH other AS (SELECT 1) SELECT * FROM default.other",
        "SELECT (SELECT max(secret) FROM other) FROM events",
        "SELECT * FROM events WHERE req_id IN (SELECT secret FROM other)",
        "SELECT * FROM events LEFT JOIN other ON 1 = 1",
    ):
        with pytest.raises(StoreError):
            sources["clickhouse"].adhoc(text)
