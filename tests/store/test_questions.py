"""Each question has the answer that was worked out by hand, on both engines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slowhound.store.answer import StoreError
from slowhound.store.dialect import for_clickhouse, for_duckdb
from slowhound.store.open import open_source
from slowhound.store.questions import QUESTIONS
from slowhound.store.ship import Shipper
from slowhound.store.source import Source
from tests.store.events import EVENTS, LIST, LOOP, SLOW, START, request, segment

T = START
REPORT = SLOW["report"]
GROUP = ("f00d", "stuck", "cart", "shop/cart.py:7:pay", 1, T + 90, T + 95, 3.0, REPORT)
PAY = "shop/cart.py:7:pay"

ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    # shop took 0.1 0.2 0.3 0.4 0.8 1.2 2.0, cart 1 3 30.
    "views": [("cart", 3, 3.0, 27.3, 29.46, 1), ("shop", 7, 0.4, 1.76, 1.952, 2)],
    "slowest": [
        (T + 150, 30.0, "cart", "POST", "/cart/10/", None, "timeout", None, None, "r10"),
        (T + 95, 3.0, "cart", "GET", "/cart/6/", 200, "ok", None, "stuck", "r6"),
        (T + 200, 2.0, "shop", "GET", "/shop/11/", None, "killed", None, None, "r11"),
        (T + 140, 1.2, "shop", "GET", "/shop/9/", 200, "ok", None, None, "r9"),
        (T + 80, 1.0, "cart", "GET", "/cart/5/", 200, "ok", None, None, "r5"),
        (T + 130, 0.8, "shop", "GET", "/shop/8/", 200, "ok", None, None, "r8"),
        (T + 70, 0.4, "shop", "GET", "/shop/4/", 500, "error", None, None, "r4"),
        (T + 20, 0.3, "shop", "GET", "/shop/3/", 200, "ok", None, None, "r3"),
        (T + 10, 0.2, "shop", "GET", "/shop/2/", 200, "ok", 0.06, None, "r2"),
        (T, 0.1, "shop", "GET", "/shop/1/", 200, "ok", 0.02, None, "r1"),
    ],
    "traffic": [
        (T + 180, 1, 1 / 60, 2.0, 2.0, 2.0, 1),
        (T + 120, 3, 0.05, 1.2, 27.12, 29.424, 1),
        (T + 60, 3, 0.05, 1.0, 2.8, 2.96, 1),
        (T, 3, 0.05, 0.2, 0.29, 0.298, 0),
    ],
    "statuses": [
        (200, "ok", 7, 6.6 / 7, 2),
        (500, "error", 1, 0.4, 1),
        (None, "killed", 1, 2.0, 1),
        (None, "timeout", 1, 30.0, 1),
    ],
    "time": [
        ("cart", 3, 34 / 3, 0.0, 0.0, 0.01 / 3, 0.0, 0.5 / 3, 3.5 / 3, 0.0, 0.0, 0.5 / 3),
        (
            *("shop", 7, 5 / 7, 0.04 / 7, 0.08 / 7, 0.0, 0.04 / 7, 0.0, 2.88 / 7),
            *(0.2 / 7, 0.04 / 7, 0.0),
        ),
    ],
    "queue": [(T, 2, 0.02, 0.029, 0.0298, 0.03)],
    # The middle between the first and the last event is at 115 s.
    "slower": [
        ("cart", 2, 1, 2.9, 30.0, 30 / 2.9),
        ("shop", 4, 3, 0.385, 1.92, 1.92 / 0.385),
    ],
    # 1.1 begins at 130 s, and web-2 has no release.
    "deploy": [
        ("cart", 2, 1, 2.9, 30.0, 30 / 2.9, 0.0, 1.0),
        ("shop", 4, 2, 0.385, 1.18, 1.18 / 0.385, 0.25, 0.0),
    ],
    "request": [
        (
            *(T + 90, "slow", "cart", "GET", "/cart/6/", None, None, 1.5, None, None, None),
            *(PAY, None, "stuck", REPORT, "web-1", 11),
        ),
        (
            *(T + 95, "request", "cart", "GET", "/cart/6/", 200, "ok", 3.0, None, None, None),
            *(PAY, None, "stuck", REPORT, "web-1", 11),
        ),
    ],
    "tasks": [("shop.tasks.mail", "celery", 2, 1.0, 1.45, 1.5, 1)],
    "errors": [
        ("SMTPException", None, "shop/tasks.py:8:mail", 1, T + 220, T + 220, "refused", "t2"),
        ("ValueError", "shop", "shop/cart.py:5:add", 1, T + 70, T + 70, "no such item", "r4"),
    ],
    "error-rate": [
        (T + 180, 1, 1, 1.0),
        (T + 120, 3, 1, 1 / 3),
        (T + 60, 3, 1, 1 / 3),
        (T, 3, 0, 0.0),
    ],
    "n1": [("shop/views.py:3:home", "shop", 1, 6.0, 6, 0.04)],
    "sql": [
        (LIST, 2, 2, 0.04, 0.02, 0.02, None, "shop"),
        (LOOP, 6, 1, 0.04, 0.04 / 6, 0.04, "shop/views.py:3:home", "shop"),
    ],
    "cache": [("cart", 1, 3, 1, 0.75, 0.01)],
    "outbound": [("cart", 1, 2, 0.5, 0.5, 0.5)],
    "starved": [
        ("gil", "GET /sort/ (r9), at shop/sort.py:1:go", 1, 0.5, 0.5, "r5"),
        ("loop", "GET /hash/ (r10), at shop/hash.py:2:go", 1, 0.25, 0.25, "r9"),
    ],
    "groups": [GROUP],
    "stuck": [GROUP],
    "new": [
        ("error", "SMTPException at shop/tasks.py:8:mail", None, T + 220, 1),
        ("slow", PAY, "cart", T + 90, 1),
        ("error", "ValueError at shop/cart.py:5:add", "shop", T + 70, 1),
    ],
    "memory": [
        ("web-1", 11, 101_000_000, 107_000_000, 6_000_000, 6, 1_000_000.0, 107_000_000),
        ("web-1", 12, 108_000_000, 109_000_000, 1_000_000, 2, 500_000.0, 109_000_000),
    ],
    "deaths": [
        ("oom", "SIGKILL", "shop", "shop/export.py:4:rows", 1, T + 200, T + 200, None, "r11"),
        ("timeout", None, "cart", "shop/bank.py:9:call", 1, T + 150, T + 150, LIST, "r10"),
    ],
    "saturation": [
        (T + 120, 2, 4, 1, 0.25, 0, None, None),
        (T + 60, 4, 4, 4, 7 / 16, 9, None, None),
        (T, 3, 4, 1, 0.25, 0, None, None),
    ],
    "stalls": [("threads", "shop/bank.py:9:call", 1, 4.0, 8, T + 230, T + 230)],
    "workers": [
        ("web-1", 11, "1.0", 6, 5 / 95, 2.5, T, T + 95),
        ("web-1", 12, "1.1", 3, 32 / 20, 27.12, T + 130, T + 150),
        ("web-2", 21, None, 1, None, 2.0, T + 200, T + 200),
    ],
    "losses": [
        ("web-1", 12, 2, 0, 3, 0.00005, 0.00005),
        ("web-1", 11, 0, 0, 7, 0.00005, 0.00005),
        ("web-2", 21, 0, 0, 2, None, None),
        ("web-2", 22, 0, 0, 2, None, None),
    ],
}
ASKED_WITH = {"request": {"id": "r6"}}


def ship(folder: Path, table: str) -> None:
    shipper = Shipper(str(folder), table)
    shipper.connect()
    shipper.ship_all()
    shipper.close()


class Engines:
    """The same events in both engines, and a third time as Parquet."""

    def __init__(self, folder: Path, table: str) -> None:
        for each in ("lines", "parquet"):
            segment(folder / each, EVENTS)
        ship(folder / "lines", table)
        self.sources: dict[str, Source] = {
            "lines": open_source(str(folder / "lines")),
            "parquet": open_source(str(folder / "parquet")),
            "clickhouse": open_source(table),
        }
        assert self.sources["parquet"].compact() == 1


@pytest.fixture(scope="module")
def engines(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    found = Engines(tmp_path_factory.mktemp("engines"), f"{server}/default?table=known")
    yield found
    for each in found.sources.values():
        each.close()


@pytest.fixture(scope="module", params=["lines", "parquet", "clickhouse"])
def source(request: pytest.FixtureRequest, engines: Engines) -> Source:
    return engines.sources[request.param]


def alike(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Floats are compared to nine digits: sums depend on the order of their terms."""
    return [
        tuple(float(f"{each:.9g}") if isinstance(each, float) else each for each in row)
        for row in rows
    ]


@pytest.mark.parametrize("name", QUESTIONS)
def test_answer_is_the_one_worked_out_by_hand(source: Source, name: str) -> None:
    """Over JSON lines, over Parquet and on ClickHouse: the same columns, rows and types."""
    answer = source.ask(name, **ASKED_WITH.get(name, {}))
    assert answer.columns == QUESTIONS[name].columns
    assert alike(answer.rows) == alike(ANSWERS[name])
    kinds = [[type(each) for each in row] for row in answer.rows]
    assert kinds == [[type(each) for each in row] for row in ANSWERS[name]]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUESTIONS)
def test_period_and_limit_are_kept(engines: Engines, name: str) -> None:
    """A period without events has an empty answer, and no answer exceeds the limit."""
    parameters = ASKED_WITH.get(name, {})
    for engine in ("lines", "clickhouse"):
        source = engines.sources[engine]
        nothing = source.ask(name, since=T + 1000, **parameters)
        assert (nothing.columns, nothing.rows) == (QUESTIONS[name].columns, [])
        until = T if name != "new" else T + 70
        assert source.ask(name, until=until, **parameters).rows == []
        assert alike(source.ask(name, limit=1, **parameters).rows) == alike(ANSWERS[name][:1])


def test_parameters_change_the_answer(source: Source) -> None:
    """A step, a time, a release."""
    assert [row[1] for row in source.ask("traffic", step=120.0).rows] == [4, 6]
    at = source.ask("slower", at=T + 25).objects()
    assert [(row["view"], row["n_before"], row["n_after"]) for row in at] == [("shop", 3, 4)]
    assert source.ask("deploy", release="1.0").rows == []  # there is nothing before it
    assert source.ask("deploy", release="1.1").rows == source.ask("deploy").rows


def test_first_seen_is_of_the_whole_store(source: Source) -> None:
    """What was in the store before the period is not new."""
    found = source.ask("new", since=T + 80).objects()
    assert [row["what"] for row in found] == ["SMTPException at shop/tasks.py:8:mail", PAY]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("nothing", {}, "there is no question 'nothing'"),
        ("views", {"step": 1}, "has no parameter 'step'"),
        ("traffic", {"step": "x"}, "step cannot be 'x'"),
        ("traffic", {"step": 0}, "step cannot be 0"),
        ("traffic", {"step": "nan"}, "step cannot be 'nan'"),
        ("request", {}, "request needs id"),
    ],
)
def test_wrong_questions_are_refused(
    source: Source, name: str, given: dict[str, Any], message: str
) -> None:
    """With a sentence for people."""
    with pytest.raises(StoreError, match=re.escape(message)):
        source.ask(name, **given)


HOSTILE = "'; DROP TABLE events; -- {x:String} $limit %s \\ \x1b[2J \u202e"


def test_values_are_never_sql(source: Source) -> None:
    """They are bound, whatever they contain."""
    assert source.ask("request", id=HOSTILE).rows == []
    found = source.sql("SELECT $text AS text FROM events LIMIT 1", {"text": HOSTILE})
    assert found.rows == [(HOSTILE,)]


def test_application_fields_are_a_map(source: Source) -> None:
    """Text by full name; a missing one is null, and a number can be cast."""
    sql = "SELECT app['app_plan'] AS plan, count(*) AS n FROM events GROUP BY plan ORDER BY plan"
    assert source.adhoc(sql).rows == [("free", 1), ("gold", 1), (None, 12)]
    total = "SELECT sum(CAST(app['app_items'] AS DOUBLE)) AS items FROM events"
    assert source.adhoc(total).rows == [(3.0,)]


def test_sampled_requests_count_for_those_left_out(
    tmp_path: Path, new_table: Callable[[], str]
) -> None:
    """One at a rate of 0.1 counts as ten requests; all errors are kept."""
    kept = [
        request(1, 0, "shop", 0.1, sample_rate=0.1),
        request(2, 1, "shop", 0.1, resp_status=500, resp_outcome="error"),
    ]
    table = new_table()
    segment(tmp_path, kept)
    ship(tmp_path, table)
    for spec in (str(tmp_path), table):
        source = open_source(spec)
        assert source.ask("views").rows == [("shop", 11, 0.1, 0.1, 0.1, 1)]
        assert alike(source.ask("error-rate").rows) == alike([(T, 11, 1, 1 / 11)])
        source.close()


def test_event_without_an_outcome_is_no_error(tmp_path: Path, new_table: Callable[[], str]) -> None:
    """A static file, or a response from a browser's cache, counts as 0 errors, not as NULL."""
    bare = {"resp_outcome": None, "resp_view": "static"}
    table = new_table()
    segment(
        tmp_path, [request(1, 0, "", 0.1, **bare), request(2, 60, "", 0.1, resp_status=304, **bare)]
    )
    ship(tmp_path, table)
    for spec in (str(tmp_path), table):
        source = open_source(spec)
        assert source.ask("views").rows == [("static", 2, 0.1, 0.1, 0.1, 0)]
        assert source.ask("error-rate").rows == [(T + 60, 1, 0, 0.0), (T, 1, 0, 0.0)]
        assert [row[-1] for row in source.ask("traffic").rows] == [0, 0]
        assert alike(source.ask("slower").rows) == [("static", 1, 1, 0.1, 0.1, 1.0)]
        counted = "SELECT countif(resp_outcome = 'ok') AS n, sum(db_time) AS t FROM events"
        assert source.adhoc(counted).rows == [(0, None)]
        assert source.adhoc(f"{counted} WHERE ts < 0").rows == [(0, None)]
        source.close()


def test_dialect_is_translated_for_each_engine() -> None:
    """The four constructs, values, and the name of the table."""
    text = (
        "SELECT quantile(0.95, x), countif(x > 1), argmax(x, y) FROM events explode(db_top, q)"
        " WHERE ts >= $since"
    )
    assert for_duckdb(text).endswith("FROM events , unnest(db_top) AS _q(q) WHERE ts >= $since")
    assert for_clickhouse(text, "other", {"since": 1.0}) == (
        "SELECT quantileExactInclusive(0.95)(x), countIf(x > 1), argMax(x, y)"
        " FROM other AS events ARRAY JOIN db_top AS q WHERE ts >= {since:Float64}"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM events e WHERE e.ts > 1", "FROM t e WHERE e.ts > 1"),
        ("FROM events AS a JOIN events b USING ts", "FROM t AS a JOIN t b USING ts"),
        ('FROM events "e"', 'FROM t "e"'),
        ("(SELECT 1 FROM events) LIMIT 1", "(SELECT 1 FROM t AS events) LIMIT 1"),
        ("FROM events\nORDER BY ts", "FROM t AS events\nORDER BY ts"),
        ("'it\\' from events', countif(x)", "'it\\' from events', countIf(x)"),
        ("1 -- from events\nFROM events", "1 -- from events\nFROM t AS events"),
    ],
)
def test_events_may_have_an_alias_and_texts_are_not_translated(text: str, wanted: str) -> None:
    """As over files: nothing within quotes or comments is translated."""
    assert for_clickhouse(f"SELECT {text}", "t", {}) == f"SELECT {wanted}"


def test_every_fixed_name_is_there() -> None:
    """Users and checks rely on them."""
    fixed = {
        *("views", "slowest", "errors", "n1", "sql", "saturation", "deaths", "time"),
        "groups",
    }
    assert fixed <= set(QUESTIONS)
    assert QUESTIONS["views"].columns == ("view", "n", "p50", "p95", "p99", "errors")
    assert set(ANSWERS) == set(QUESTIONS)
