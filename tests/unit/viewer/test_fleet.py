"""The viewer over ClickHouse: every page has the same data as over the files."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from django.test import Client

from slowhound.cli import build_parser
from slowhound.store.questions import QUESTIONS
from slowhound.store.ship import Shipper
from slowhound.viewer import urls
from slowhound.viewer.sources import Sources
from tests.harness.clickhouse import clickhouse
from tests.pages import made
from tests.unit.viewer.test_pages import at, drawn, event

# Each page is requested dozens of times, over a ClickHouse of its own.
pytestmark = pytest.mark.slow

NOW = time.time()
DAY = 86400.0
GROUP = "0a1b2c3d4e5f6071"
# A static file from a browser's cache, and events with only the required fields: no outcome, no
# view, no parts of the time, and no others in their period.
BARE = [
    {"event_type": "request", "req_id": "static", "req_method": "GET", "req_path": "/static/a.css",
     "resp_status": 304, "resp_time": 0.001, "ts": NOW - 40, "host": "web-3", "pid": 1},
    {"event_type": "request", "req_id": "bare", "ts": NOW - 3 * DAY, "host": "web-3", "pid": 1},
    {"event_type": "slow", "req_id": "bare", "ts": NOW - 3 * DAY, "host": "web-3", "pid": 1},
    {"event_type": "task", "task_name": "empty", "req_id": "none", "ts": NOW - 41, "host": "web-3",
     "pid": 1},
]  # fmt: skip
# A day, everything, only the bare events, and nothing; to the second, so both engines get the same.
PERIODS = [
    f"since={since}&until={until:.0f}"
    for since, until in (
        (f"{NOW - DAY:.0f}", NOW),
        ("all", NOW),
        (f"{NOW - 4 * DAY:.0f}", NOW - 2 * DAY),
        ("1", NOW - 5 * DAY),
    )
]
# Keys about the store itself, not its events.
OF_THE_SOURCE = {"command", "health"}
SQL = "SELECT resp_view, count(*) AS n, countif(resp_outcome = 'error') AS errors, min(ts) AS first"

NOTHING = "SELECT min(ts) AS a, sum(pid) AS b, countif(ts > 0) AS c FROM events WHERE ts < 0"


class Both(NamedTuple):
    """One store twice: the files, and the same events in ClickHouse."""

    folder: Path
    table: str

    def ask(self, path: str) -> tuple[Any, Any]:
        """The answers over the files and over ClickHouse."""
        with at(self.folder):
            here = Client().get(path)
        with at(self.folder, ALLOW="debug", FROM=self.table):
            return here, Client().get(path)

    def differences(self, page: str, query: str) -> list[Any]:
        """What differs in the page's JSON."""
        here, there = self.ask(f"/{page}.json?{query}")
        if here.status_code != there.status_code:
            return [(query, here.status_code, there.status_code, there.content)]
        kept = [
            {name: value for name, value in each.json().items() if name not in OF_THE_SOURCE}
            for each in (here, there)
        ]
        return list(different(kept[0], kept[1], f"{query}: "))


def different(one: Any, other: Any, at: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ, types included; floats to nine digits: sums depend on the order."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        for name in one:
            yield from different(one[name], other[name], f"{at}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from different(*pair, f"{at}[{number}]")
    elif isinstance(one, float) and isinstance(other, float):
        if f"{one:.9g}" != f"{other:.9g}":
            yield at, one, other
    elif one != other or type(one) is not type(other):
        yield at, one, other


def shipped(folder: Path, server: str, name: str) -> Both:
    table = f"{server}/default?table={name}"
    shipper = Shipper(str(folder), table)
    shipper.connect()
    shipper.ship_all()
    shipper.close()
    return Both(folder, table)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as address:
        yield address


@pytest.fixture(scope="module")
def both(server: str, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A shop's day, and some events with hardly any fields."""
    folder = tmp_path_factory.mktemp("shop") / "dir"
    made.plain(folder, NOW - 60, count=300)
    made.write(folder, BARE, "1763700000001-4711-0")
    return shipped(folder, server, "shop")


@pytest.fixture(scope="module")
def hostile(server: str, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Hostile texts in every field."""
    folder = tmp_path_factory.mktemp("hostile") / "dir"
    made.hostile(folder, NOW)
    return shipped(folder, server, "hostile")


def sorts(page: str) -> list[str]:
    return [f"sort={each}" for each in urls.VIEWER.pages[page].parameters["sort"].choices]


ASKED = {
    "overview": [""],
    "views": sorts("views"),
    "requests": [
        *sorts("requests"),
        *("page=2", "page=900", "view=checkout", "view=-", "path=PRODUCT/1", "status=5xx"),
        *("status=304", "outcome=killed", "min=1.5", "exc=CardDeclined", "method=POST"),
        *("kind=task", "queries=30", "n1=yes", "host=web-2", "pid=4712", "release=2026.47"),
        *(f"group={GROUP}", f"sql={quote(made.STATEMENTS['search'])}"),
    ],
    "request": ["id=slow-0001", "id=dead-0", "id=task-0", "id=static", "id=bare", "id=none", "id="],
    "reports": sorts("reports"),
    "report": [f"group={GROUP}", f"name={made.report_name(3)}", "group=none", "name=none"],
    "deaths": ["cause=", "cause=oom", "cause=timeout", "cause=none"],
    "live": [""],
    "sql": sorts("sql"),
    "ask": [
        *(f"q={name}" for name in QUESTIONS),
        *("q=", "q=traffic&step=7200", "q=request&id=slow-0001", "q=deploy&release=x"),
        f"sql={quote(SQL + ' FROM events GROUP BY resp_view ORDER BY n, resp_view')}",
        f"sql={quote(SQL + ' FROM events WHERE ts < 0 GROUP BY resp_view')}",
        f"sql={quote(NOTHING)}",
    ],
    "flame": ["name=x", f"group={GROUP}"],
}


@pytest.mark.parametrize("name", urls.VIEWER.pages)
def test_each_page_has_the_same_data_on_both_engines(both: Both, name: str) -> None:
    """With each order, filter and question; the first of them for each period."""
    first, *others = ASKED[name]
    queries = [f"{first}&{period}" for period in PERIODS]
    queries += [f"{each}&{PERIODS[0]}" for each in others]
    assert [found for query in queries for found in both.differences(name, query)] == []
    path = "/" if name == "overview" else f"/{name}/"
    here, there = both.ask(f"{path}?{first}&{PERIODS[0]}")
    assert here.status_code == there.status_code


@pytest.mark.parametrize("name", ["overview", "views", "requests", "deaths", "sql", "ask"])
def test_hostile_texts_are_the_same_on_both_engines(hostile: Both, name: str) -> None:
    """Zeros, half characters and quotes arrive unchanged."""
    query = "q=errors&" if name == "ask" else ""
    assert hostile.differences(name, f"{query}{PERIODS[0]}") == []


@pytest.mark.parametrize("name", [name for name in urls.VIEWER.pages if name != "flame"])
def test_command_of_each_page_reads_the_same_table(both: Both, name: str) -> None:
    """It can be run as it is; requests in flight are those of this host."""
    _, there = both.ask(f"/{name}.json?{ASKED[name][0]}&since=24h")
    words = shlex.split(there.json()["command"])
    build_parser().parse_args(words[1:])
    assert (f"--from={both.table}" in words) == (name != "live")


def test_page_names_the_host_of_a_missing_file(server: str, tmp_path: Path) -> None:
    """Events come from all hosts, reports and flame graphs from this one: no error."""
    folder = tmp_path / "theirs"
    graph = drawn(folder)
    slow: dict[str, Any] = {"slow_fingerprint": "f", "report": made.report_name(1), "flame": graph}
    made.write(folder, [event("a", **slow), event("a", 61, event_type="slow", **slow)])
    table = shipped(folder, server, "theirs").table
    pages = ("/request/?id=a", "/report/?group=f")
    with at(tmp_path / "ours", ALLOW="debug", FROM=table):
        for path in pages:
            answer = Client().get(path)
            page = answer.content.decode()
            assert answer.status_code == 200
            assert "files stay on the host that wrote them, web-1" in page
            assert "<iframe" not in page
            assert 'role="alert"' not in page
        assert Client().get(f"/flame/?name={graph}").status_code == 404
        assert "only this host's workers" in Client().get("/live/").content.decode()
    with at(folder, ALLOW="debug", FROM=table):
        assert ["<iframe" in Client().get(path).content.decode() for path in pages] == [True, True]


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("clickhouse://me:hush@db:8123/shop?table=t_1", "clickhouse://db:8123/shop?table=t_1"),
        ("clickhouse://me:hu@sh@db/shop", "clickhouse://db/shop"),
        ("clickhouse://me:hu/sh@db/shop", "clickhouse://db/shop"),
        ("clickhouse://me:hu?sh@db/shop", "clickhouse://db/shop"),
        ("clickhouse://db/shop?password=hush", "clickhouse://db/shop"),
    ],
)
def test_password_is_never_displayed(spec: str, shown: str) -> None:
    """Not even one that should be quoted in a URL, nor in an error message."""
    assert Sources(spec, "/dir", "/dir/reports").store_name == shown
    with at("/dir", ALLOW="debug", FROM=spec.replace("@db", "@127.0.0.1:1")):
        page = Client().get("/views/").content.decode()
        assert "sh@" not in page
        assert ":hu" not in page
