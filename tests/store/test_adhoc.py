"""Ad-hoc SQL reads only events, within its limits of time and size."""

from __future__ import annotations

import io
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from slowhound.store import adhoc, clickhouse_bounded, clickhouse_select_only
from slowhound.store.answer import LONGEST_VALUE, Answer, StoreError
from slowhound.store.broken import UnreadableError
from slowhound.store.clickhouse import RESPONSE_GRACE
from slowhound.store.dialect import for_clickhouse, for_duckdb
from slowhound.store.duckdb import LocalFiles
from slowhound.store.open import open_source
from slowhound.store.select_only import SELECT_START
from slowhound.store.ship import Shipper
from slowhound.store.source import Source
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
    "SELECT * FROM read_duckdb('{folder}/x.db')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM parquet_metadata('{folder}/events/*.parquet')",
    "SELECT * FROM which_secret('/etc/passwd', 's3')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM Duckdb_Settings()",
    "SELECT * FROM duckdb_databases",
    "SELECT * FROM main.duckdb_views",
    "SELECT sql FROM duckdb_views()",
    "SELECT sql FROM sqlite_master",
    "SELECT * FROM system.information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_version()",
    "SELECT * FROM every_line",
    "SELECT * FROM temp.main.events",
    "SELECT * FROM query_table(['duckdb_settings'])",
    "SELECT * FROM summary((SELECT * FROM duckdb_settings()))",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT (SELECT max(value) FROM duckdb_settings())",
    "SELECT 1 WHERE 'x' IN (SELECT value FROM duckdb_settings())",
    "SELECT sum(1) OVER (ORDER BY (SELECT max(value) FROM duckdb_settings()))",
    "SELECT 1 LIMIT (SELECT count(*) FROM duckdb_settings())",
    "SELECT [y FOR x IN [1] IF x IN (SELECT 1 FROM duckdb_settings())] FROM (SELECT 1 AS y)",
    "WITH duckdb_settings AS (SELECT 1) SELECT 1 FROM duckdb_settings",
    "SELECT 1 UNION ALL SELECT count(*) FROM duckdb_tables",
    "SELECT list_transform([1], lambda x: current_setting('temp_directory'))",
    "SELECT current_setting('allowed_paths')",
    "SELECT Current_Setting('allowed_paths')",
    "SELECT main.current_setting('allowed_paths')",
    "SELECT current_database(), current_user, version()",
    "SELECT pg_get_viewdef(1)",
    "SELECT getvariable('x')",
    "SELECT write_log('x')",
    "SELECT nextval('x')",
    "SELECT count(*) FILTER (WHERE current_query() = '') FROM events",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "SHOW DATABASES",
    "DESCRIBE duckdb_settings",
    "DESCRIBE SELECT * FROM duckdb_settings()",
    "SUMMARIZE duckdb_settings",
    "SUMMARIZE SELECT * FROM duckdb_settings()",
    "FROM (SHOW TABLES)",
    "UNPIVOT duckdb_settings ON value",
    # A name that WITH defines in one place is a table in another.
    "SELECT count(*) FROM every_line, (WITH every_line AS (SELECT 1) SELECT 1)",
    "WITH Every_Line AS (SELECT 1) SELECT 1",
    "SELECT * FROM '{segment}', (WITH \"{segment}\" AS (SELECT 1) SELECT 1)",
    "SELECT * FROM 'x.csv', (WITH \"x.csv\" AS (SELECT 1) SELECT 1)",
    "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
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
    "SELECT host FROM events WHERE host IN other",
    "SELECT host FROM events WHERE host GLOBAL NOT IN default.other",
    "SELECT host FROM events WHERE host IN ((other))",
    "SELECT host FROM events WHERE host IN (`other`)",
    "SELECT host FROM events WHERE (host, host) IN default . other",
    "SELECT in(host, other) FROM events",
    "SELECT notIn(host, other AS x) FROM events",
    "SELECT nullIn(host, other) FROM events",
    "SELECT `in`(host, other) FROM events",
    "SELECT arrayMap(x -> x IN other, ['a'])",
    "SELECT if(host IN other, 1, 0) FROM events",
    "SELECT host FROM events WHERE host IN numbers(3)",
    "SELECT sum(host IN other) OVER () FROM events",
    "SELECT sum(1) OVER (PARTITION BY host IN other) FROM events",
    "SELECT sum(1) OVER (ORDER BY (SELECT max(secret) FROM other)) FROM events",
    "SELECT sum(1) OVER (ORDER BY dictGet('pairs', 'v', 1)) FROM events",
    "SELECT sum(1) OVER w FROM events WINDOW w AS (ORDER BY joinGet('joined', 'v', 1))",
    "SELECT joinGet('joined', 'v', toUInt64(1))",
    "SELECT joinGetOrNull('joined', 'v', toUInt64(1))",
    "SELECT `joinGetOrNull`('joined', 'v', toUInt64(1))",
    "SELECT \"joinGetOrNull\"('joined', 'v', toUInt64(1))",
    "SELECT joinGetOrNull/**/('joined', 'v', toUInt64(1))",
    "SELECT dictGetString('pairs', 'v', toUInt64(1))",
    "SELECT dictGetOrDefault('pairs', 'v', toUInt64(1), 'x')",
    "SELECT dictGetOrNull('pairs', 'v', toUInt64(1))",
    "SELECT dictGetAll('pairs', 'v', toUInt64(1))",
    "SELECT dictHas('pairs', toUInt64(1))",
    "SELECT dictIsIn('pairs', 1, 1)",
    "SELECT dictGetHierarchy('pairs', 1)",
    "SELECT regionToName(toUInt32(1))",
    "SELECT * FROM pairs",
    "SELECT * FROM joined",
    "SELECT * FROM dictionary('pairs')",
    "SELECT * FROM dictionary(pairs)",
    "SELECT * FROM events JOIN joined ON 1 = 1",
    "SELECT * FROM events, (SELECT secret FROM other) AS t",
    "SELECT (SELECT 1 FROM (WITH other AS (SELECT 1) SELECT 1)) FROM other",
    "WITH other AS (SELECT secret FROM default.other) SELECT * FROM other",
    "SELECT 1 INTERSECT SELECT secret FROM other",
    "SELECT * APPLY(dictGet) FROM events",
    "SELECT COLUMNS('host') APPLY file FROM events",
    "SELECT * REPLACE(file('/etc/passwd') AS host) FROM events",
    "SELECT host FROM events ORDER BY file('/etc/passwd')",
    "SELECT host FROM events LIMIT 1 BY file('/etc/passwd')",
    "SELECT host FROM events ORDER BY ts WITH FILL INTERPOLATE (host AS file('/etc/passwd'))",
    "SELECT countIf(file('/etc/passwd') = '') FROM events",
    "SELECT `a\n    Literal 'x'` IN other FROM events",
    "SELECT 1 AS `x (alias events)` FROM other",
    "SELECT \u201cdictGet\u201d('pairs', 'v', 1)",
    "SELECT $x$ a $x$, file('/etc/passwd')",
    "SELECT /* /* */ file('/etc/passwd') -- */",
    "SELECT 1 INTO OUTFILE '/tmp/slowhound-outfile'",
    "SELECT 1 FORMAT JSON",
    "SELECT 1 FROM events SETTINGS max_threads = 1",
    "SELECT {x:String}",
    "SELECT * FROM executable('x.sh', TSV, 'a String')",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1', 'system', 'one')",
    "SELECT * FROM view(SELECT secret FROM other)",
    "SELECT * FROM generateRandom('a UInt8')",
    "SELECT * FROM values('a UInt8', 1)",
    "SELECT * FROM input('a String')",
    "SELECT * FROM (EXPLAIN SELECT 1)",
    "SELECT getSetting('max_threads')",
    "SELECT getServerSetting('max_connections')",
    "SELECT @@version",
    "SELECT hostName(), version(), currentUser()",
    "SELECT hasColumnInTable('default', 'other', 'secret')",
    "SELECT addressToLine(1)",
    "SELECT mine(1)",
    "SELECT sleep(1)",
]
# The tables that no SQL may read.
OTHERS = [
    "CREATE TABLE other (secret String) ENGINE = MergeTree ORDER BY secret",
    "INSERT INTO other VALUES ('h')",
    "CREATE TABLE joined (k UInt64, v String) ENGINE = Join(ANY, LEFT, k)",
    "INSERT INTO joined VALUES (1, 'h')",
    "CREATE TABLE pairs_source (k UInt64, v String) ENGINE = MergeTree ORDER BY k",
    (
        "CREATE DICTIONARY pairs (k UInt64, v String) PRIMARY KEY k"
        " SOURCE(CLICKHOUSE(TABLE 'pairs_source')) LAYOUT(FLAT()) LIFETIME(0)"
    ),
    "CREATE FUNCTION mine AS (x) -> x IN (SELECT 1)",
]
# SQL that the list of functions must allow.
GOOD_ON_CLICKHOUSE = [
    "SELECT count(*) FROM events WHERE host IN ('h', 'x') OR ts NOT IN (SELECT ts FROM events)",
    "SELECT count(DISTINCT host), countIf(ts > 0), uniqExact(host), avg(ts) FROM events",
    (
        "SELECT sum(ts) OVER (PARTITION BY host ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT"
        " ROW), row_number() OVER w FROM events WINDOW w AS (ORDER BY ts)"
    ),
    "SELECT CASE WHEN ts > 1 THEN 'a' ELSE 'b' END, CASE host WHEN 'h' THEN 1 END FROM events",
    "SELECT toStartOfHour(toDateTime(ts)) AS h, count() FROM events GROUP BY h ORDER BY h LIMIT 3",
    "SELECT toDateTime(ts) - INTERVAL 1 DAY, ts::String, CAST(ts AS Decimal(18, 2)) FROM events",
    "SELECT arrayMap(x -> x * 2, range(3)), app['app_plan'], mapKeys(app), (1, 2).1 FROM events",
    "SELECT q.fingerprint, sum(q.count) FROM events ARRAY JOIN db_top AS q GROUP BY q.fingerprint",
    "SELECT q.fingerprint FROM events explode(db_top, q)",
    "SELECT quantile(0.95, resp_time), argmax(req_path, resp_time) FROM events",
    (
        "WITH slow AS (SELECT * FROM events WHERE resp_time > 0), 2 AS two"
        " SELECT resp_view, count(*) * two FROM slow GROUP BY ALL HAVING count(*) > 0"
    ),
    "SELECT host FROM events JOIN (SELECT req_id FROM events) AS f ON events.req_id = f.req_id",
    "SELECT * EXCEPT(app) FROM events ORDER BY ts DESC LIMIT 2 BY host LIMIT 10 OFFSET 1",
    (
        "SELECT lower(host) || 'x', substring(host, 1, 2), replaceAll(host, 'a', 'b') FROM events"
        " WHERE host LIKE '%' AND req_path IS NOT NULL AND match(host, '^.*$')"
    ),
    "SELECT 'FROM other IN other dictGet(1)', \"host\" AS `file (a)` FROM events -- IN other",
    "SELECT count() FROM events UNION ALL SELECT 1 EXCEPT SELECT 2",
]
# SQL that takes too much, and the limit that stops it; within one step the time is not checked.
GREEDY_ON_CLICKHOUSE = [
    "SELECT arraySort(x -> sipHash64(x), range(100000000))",
    "SELECT arrayMap(x -> arraySum(range(x)), range(100000))",
    "SELECT uniqExact(x) FROM (SELECT arrayJoin(range(100000000)) AS x)",
    "SELECT groupArray(repeat('x', 1000000)) FROM (SELECT arrayJoin(range(5000)))",
    "SELECT arrayFold((a, x) -> concat(a, a), range(60), 'x')",
    "SELECT length(repeat(repeat('x', 1000000), 1000))",
    "SELECT replaceRegexpAll(repeat('x', 1000000), 'x', repeat('y', 1000))",
    "SELECT length(groupConcat(repeat('x', n))) FROM (SELECT arrayJoin(range(90000)) AS n)",
]
# Answers that are too large, and the number of rows that are not.
LARGE_ON_CLICKHOUSE = [
    ("SELECT repeat('x', 1000000), arrayJoin(range(200))", 8),
    ("SELECT repeat(toString(n % 10), 1000000) FROM (SELECT arrayJoin(range(200)) AS n)", 8),
    ("SELECT arrayMap(x -> arrayMap(y -> [], range(100)), range(100)), arrayJoin(range(300))", 23),
    ("SELECT repeat('x', 1000000), repeat('0123456789\u00e9', 1000000)", 0),
    ("SELECT groupArray(x) FROM (SELECT arrayJoin(range(10000000)) AS x)", 0),
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
    for statement in OTHERS:
        shipper._client.command(statement)
    shipper.ship_all()
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
    """Not by a function, a name, a setting or a statement; nor by using all memory."""
    (held,) = Path(sources["files"].folder).iterdir()  # type: ignore[attr-defined]
    with pytest.raises(StoreError):
        sources["files"].adhoc(text.format(folder=tmp_path, segment=held), seconds=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ON_CLICKHOUSE)
def test_clickhouse_reads_no_other_table_and_no_file(sources: dict[str, Source], text: str) -> None:
    """Not by a function, a name after IN, a dictionary, a table function or a setting."""
    with pytest.raises(StoreError) as refused:
        sources["clickhouse"].adhoc(text, seconds=5)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", GOOD_ON_CLICKHOUSE)
def test_clickhouse_answers_ordinary_ad_hoc_sql(sources: dict[str, Source], text: str) -> None:
    """The list of functions lacks none that an ordinary query needs."""
    assert sources["clickhouse"].adhoc(text, seconds=5).columns


@pytest.mark.parametrize(("text", "rows"), LARGE_ON_CLICKHOUSE)
def test_answer_of_clickhouse_is_read_up_to_a_limit(
    sources: dict[str, Source], text: str, rows: int
) -> None:
    """A constant is in each row, and this process may be a worker: 64 MB are enough."""
    tracemalloc.start()
    try:
        answer = sources["clickhouse"].adhoc(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024**2
    assert len(answer.rows) == rows
    assert answer.remarks == (f"only the first {rows} rows are shown: all are more than 8 MB",)


@pytest.mark.parametrize("text", GREEDY_ON_CLICKHOUSE)
def test_ad_hoc_sql_takes_no_gigabytes_of_clickhouse(sources: dict[str, Source], text: str) -> None:
    """It once took two, and eighty seconds instead of four."""
    with pytest.raises(StoreError, match=r"memory limit exceeded|range would produce"):
        sources["clickhouse"].adhoc(text, seconds=30)
    assert sources["clickhouse"].adhoc("SELECT 1 AS one").rows == [(1,)]


def test_values_of_clickhouse_are_plain(sources: dict[str, Source]) -> None:
    """Other types become text, and a text may contain any bytes."""
    text = (
        "SELECT toUInt64(18446744073709551615) AS a, toInt128('-9223372036854775809'), nan, [-inf],"
        " NULL, true, unhex('61ff0a'), toDateTime64('2027-01-15 08:00:00', 1, 'UTC'), (1, 'a'),"
        " map('k', [1.5]), [[[[[1]]]]]"
    )
    answer = sources["clickhouse"].adhoc(text)
    assert (len(answer.columns), answer.columns[0]) == (11, "a")
    assert answer.rows == [
        (
            *("18446744073709551615", "-9223372036854775809", None, [None], None, True),
            *("a\ufffd\n", "2027-01-15 08:00:00.0", [1, "a"], {"k": [1.5]}, [[[["..."]]]]),
        )
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'["a","b"]\n[1,2]\nCode: 159. DB::Exception: Timeout\n', "Code: 159. DB::Exception: Tim"),
        (b'["a","b"]\n["Code: 159. DB::Exception: Timeout"]\n', "Code: 159. DB::Exception: Tim"),
        (b'["a","b"]\n[1,2]\n\r\n__exception__\r\nx\r\nCode: 9. DB::Exception: No\r\n', "No"),
        (b'["a","b"]\n[1,', "cut off"),
        (b"", "cut off"),
    ],
)
def test_error_of_clickhouse_after_the_first_rows_is_raised(data: bytes, message: str) -> None:
    """The status of its response was sent by then; the error follows the rows."""
    with pytest.raises(StoreError, match=message):
        clickhouse_bounded.parse_answer(clickhouse_bounded.read_bounded(io.BytesIO(data)), 10)


@pytest.mark.slow  # a step of some seconds
def test_long_step_of_clickhouse_is_not_awaited(sources: dict[str, Source]) -> None:
    """The server checks its limit between two steps: a query took 300 s where 10 are allowed."""
    started = time.monotonic()
    with pytest.raises(StoreError, match=r"it took longer than 0\.5 s"):
        sources["clickhouse"].adhoc(
            "SELECT hasAny(range(250000), arrayMap(x -> -x - 1, range(250000)))", seconds=0.5
        )
    assert time.monotonic() - started < 0.5 + RESPONSE_GRACE + 1.0


def test_slow_answer_is_limited_as_a_whole() -> None:
    """Each part arrives in time, and all of them together never do."""
    until = time.monotonic() + 0.2

    class Dripping(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            assert time.monotonic() < until + 2
            time.sleep(0.01)
            return b"[1]\n"

    with pytest.raises(StoreError):
        clickhouse_bounded.read_bounded(Dripping(), until)


def test_search_for_a_broken_file_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that fails is run again to find a broken file: that took three times ten seconds."""
    segment(tmp_path, EVENTS)
    source = LocalFiles(str(tmp_path))
    attempts: list[float] = []

    def fails_late(_: object, text: str, seconds: float, __: int) -> Answer:
        attempts.append(seconds)
        if seconds < 0.3:
            raise StoreError("it took longer and was ended")
        time.sleep(0.3)
        raise UnreadableError(f"{text}: a slip, {len(attempts)}")

    monkeypatch.setattr(adhoc, "run", fails_late)
    with pytest.raises(StoreError, match="SELECT 1: a slip, 1"):
        source.adhoc("SELECT 1", seconds=0.5)
    assert len(attempts) == 2
    assert attempts[1] < 0.25


@pytest.mark.parametrize("text", ["IMPORT DATABASE '{}'", "PRAGMA import_database('{}')"])
def test_duckdb_parses_no_file(sources: dict[str, Source], tmp_path: Path, text: str) -> None:
    """DuckDB 1.4 would run a statement in the file, or quote words of it in the error."""
    for content in ("SELECT 'secret'", "secret ="):
        (tmp_path / "schema.sql").write_text(content)
        (tmp_path / "load.sql").touch()
        with pytest.raises(StoreError) as refused:
            sources["files"].adhoc(text.format(tmp_path))
        assert "secret" not in str(refused.value)


@pytest.mark.slow
def test_sql_that_takes_too_long_is_stopped(sources: dict[str, Source], kind: str) -> None:
    """And the next query is answered as usual."""
    with pytest.raises(StoreError, match=r"took longer|TIMEOUT|Timeout"):
        sources[kind].adhoc(LONG[kind], seconds=0.5)
    assert sources[kind].adhoc("SELECT 1 AS one").rows == [(1,)]


def test_rows_beyond_the_limit_are_left_out_with_a_remark(
    sources: dict[str, Source], kind: str
) -> None:
    """Neither a page nor a terminal can show millions."""
    answer = sources[kind].adhoc(MANY[kind], rows=100)
    assert len(answer.rows) == 100
    assert answer.remarks == ("only the first 100 rows are shown",)
    assert sources[kind].adhoc(MANY[kind], rows=5000).remarks == ()


def test_long_texts_are_cut(sources: dict[str, Source], kind: str) -> None:
    """For the same reason."""
    ((text,),) = sources[kind].adhoc("SELECT repeat('x', 50000) AS x").rows
    assert text == "x" * LONGEST_VALUE


def test_an_answer_without_rows_has_its_columns(sources: dict[str, Source], kind: str) -> None:
    """So that the table has a head."""
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
    """In all forms, with the constructs of the dialect."""
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
def test_other_forms_of_select_in_duckdb_are_answered(
    sources: dict[str, Source], text: str
) -> None:
    """As long as it begins like a query, after comments and parentheses."""
    assert sources["files"].adhoc(text).rows == [(len(EVENTS),)]


@pytest.mark.parametrize("start", ["/*", "-- ", "(", " ", "\n/**/", "/*/"])
def test_start_of_a_select_is_found_in_linear_time(start: str) -> None:
    """Ad-hoc SQL must not take long before it runs."""
    texts = [start * 20_000 + end for end in ("", "SELECT 1", "PRAGMA x", "*/ SELECT 1")]
    assert [SELECT_START.match(text) is None for text in texts].count(True) >= 2


@pytest.mark.parametrize("part", ["/* ", "\\'", "'a' $a ", "\\`", "'\\", '"\\'])
@pytest.mark.parametrize("end", ["", "\\", "'"])
def test_sql_is_translated_in_linear_time(part: str, end: str) -> None:
    """Unclosed quotes took 2 s for the 10,000 characters that the Ask page allows."""
    text = (part * 20_000)[:20_000] + end
    started = time.process_time()
    for_clickhouse(text, "events", {})
    for_duckdb(text)
    with suppress(StoreError):
        list(clickhouse_select_only._words(text))
    assert time.process_time() - started < 0.5


def test_union_cannot_hide_another_table(
    sources: dict[str, Source], new_table: Callable[[], str]
) -> None:
    """Every part of the statement is checked."""
    for text in (
        "SELECT req_id FROM events UNION ALL SELECT secret FROM other",
        "WITH other AS (SELECT 1) SELECT * FROM default.other",
        "SELECT (SELECT max(secret) FROM other) FROM events",
        "SELECT * FROM events WHERE req_id IN (SELECT secret FROM other)",
        "SELECT * FROM events LEFT JOIN other ON 1 = 1",
    ):
        with pytest.raises(StoreError):
            sources["clickhouse"].adhoc(text)
