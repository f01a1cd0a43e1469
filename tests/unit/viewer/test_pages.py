"""The viewer's pages over a store with known events: their data and their HTML."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client, override_settings

from slowhound.flames.files import FlameFiles
from slowhound.flames.profile import Profile, ProfileFrame, ProfileSample
from slowhound.store.duckdb import LocalFiles
from slowhound.viewer import assets, responses, urls
from slowhound.viewer.pages import requests
from tests.pages.made import report_name, write

NOW = time.time()
STATEMENT = "SELECT a FROM b WHERE c = ?"


def event(req_id: str, ago: float = 60.0, **fields: Any) -> dict[str, Any]:
    """A request that went well, with changes."""
    return {
        "event_type": "request",
        "req_id": req_id,
        "req_method": "GET",
        "req_path": "/shelf/",
        "resp_view": "shelf",
        "resp_time": 0.05,
        "resp_status": 200,
        "resp_outcome": "ok",
        "ts": NOW - ago,
        "host": "web-1",
        "pid": 11,
        **fields,
    }


# Each differs from the others in one field, which has the name of a filter.
EVENTS = [
    event("plain", 600),
    event("view", 590, resp_view="basket"),
    event("no-view", 580, resp_view=None),
    event("path", 570, req_path="/Cart_100%/O'Neill"),
    event("method", 560, req_method="POST"),
    event("missing", 550, resp_status=404),
    event("broken", 540, resp_status=503, resp_outcome="error"),
    event("outcome", 530, resp_outcome="disconnect"),
    event("kind", 520, event_type="task", task_name="mail", req_method=None, req_path=None),
    event("exc", 510, exc_type="KeyError"),
    event("min", 500, resp_time=7.5),
    event("queries", 490, db_queries=90, db_time=0.02),
    event("host", 480, host="web-2"),
    event("pid", 470, pid=4711),
    event("release", 460, release="9.1"),
    event("group", 450, slow_fingerprint="cafe", report=report_name(1)),
    event("n1", 440, db_n1="shop/views.py:9:loop"),
    event(
        "sql",
        430,
        db_queries=2,
        db_top=[{"fingerprint": STATEMENT, "count": 2, "time": 0.04, "line": "shop/a.py:1:f"}],
    ),
    event("old", 3 * 86400),
    {**event("group", 451), "event_type": "slow", "slow_fingerprint": "cafe", "slow_loc": "a:1:f",
     "slow_verdict": "stuck", "report": report_name(1), "resp_time": 1.0},
    event("dead", 400, event_type="crash", crash_cause="oom", resp_outcome="killed", resp_time=3),
]  # fmt: skip
FOUND = {
    "view=basket": ["view"],
    "view=-": ["no-view"],
    "path=cart": ["path"],
    "path=100%25": ["path"],
    "path=_": ["path"],
    "path=o'neill": ["path"],
    "path=%25": ["path"],
    "method=POST": ["method"],
    "status=404": ["missing"],
    "status=5xx": ["broken"],
    "outcome=disconnect": ["outcome"],
    "kind=task": ["kind"],
    "exc=KeyError": ["exc"],
    "min=7": ["min"],
    "queries=50": ["queries"],
    "host=web-2": ["host"],
    "pid=4711": ["pid"],
    "release=9.1": ["release"],
    "group=cafe": ["group"],
    "n1=yes": ["n1"],
    f"sql={quote(STATEMENT)}": ["sql"],
    "method=POST&host=web-2": [],
    "since=all&until=2d": ["old"],
    "outcome=ok&since=all&sort=oldest&view=shelf&host=web-1&until=1d": ["old"],
}
INJECTIONS = ("' OR 1=1 --", "%' OR '%'='", "$since")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "dir"
    write(folder, EVENTS)
    return folder


def at(folder: Path | str, **viewer: Any) -> override_settings:
    """The viewer over this folder, for this machine."""
    return override_settings(
        DEBUG=True,
        MIDDLEWARE=[],  # these requests must not be recorded in the store that they read
        ROOT_URLCONF="slowhound.viewer.standalone",
        SLOWHOUND={"DIR": str(folder), "STREAM": None, "VIEWER": viewer or {"ALLOW": "debug"}},
    )


@pytest.fixture
def pages(store: Path) -> Iterator[Client]:
    with at(store):
        yield Client()


def get(pages: Client, path: str) -> dict[str, Any]:
    """The JSON of a page."""
    answer = pages.get(f"/{path}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("query", FOUND)
def test_each_filter_finds_its_events(pages: Client, query: str) -> None:
    """And nothing else."""
    found = get(pages, f"requests.json?{query}")
    assert [row["req_id"] for row in found["rows"]] == FOUND[query]
    assert found["total"] == len(FOUND[query])


def test_every_filter_is_tested() -> None:
    """A new one needs a line above."""
    tried = {part.partition("=")[0] for query in FOUND for part in query.split("&")}
    assert tried == {*requests.FILTERS, "since", "until", "sort"}


@pytest.mark.parametrize("name", requests.FILTERS)
@pytest.mark.parametrize("text", INJECTIONS)
def test_a_filter_is_a_value_and_never_sql(pages: Client, name: str, text: str) -> None:
    """It finds nothing, or is refused as invalid; it never becomes part of the SQL."""
    answer = pages.get(f"/requests.json?since=all&{name}={quote(text)}")
    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert answer.json()["rows"] == []
    else:
        assert answer.json()["problem"].startswith(f"{name}: ")


@pytest.mark.parametrize("page", ["requests", "views", "reports", "sql"])
def test_orders_are_chosen_from_a_list(pages: Client, page: str) -> None:
    """All others are refused."""
    parameter = urls.VIEWER.pages[page].parameters["sort"]
    for each in parameter.choices:
        get(pages, f"{page}.json?sort={each}")
    answer = pages.get(f"/{page}.json?sort={quote('ts; DROP TABLE events')}")
    assert answer.status_code == 400


SORTED = {
    "newest": ("ts", True),
    "oldest": ("ts", False),
    "slowest": ("resp_time", True),
    "queries": ("db_queries", True),
    "db": ("db_time", True),
}


@pytest.mark.parametrize("sort", SORTED)
def test_requests_are_in_the_chosen_order(pages: Client, sort: str) -> None:
    """Those without the value come last."""
    name, falling = SORTED[sort]
    values = [row[name] for row in get(pages, f"requests.json?since=all&sort={sort}")["rows"]]
    known = [each for each in values if each is not None]
    assert known == sorted(known, reverse=falling)
    assert known
    assert values == known + [None] * (len(values) - len(known))


def test_requests_are_paged(tmp_path: Path) -> None:
    """Each request is on one page, and the last page has the rest."""
    write(tmp_path, [event(f"{number:03}", 200 - number) for number in range(120)])
    with at(tmp_path):
        pages = [get(Client(), f"requests.json?page={page}") for page in (1, 2, 3, 4)]
    ids = [row["req_id"] for page in pages for row in page["rows"]]
    assert ids == [f"{number:03}" for number in reversed(range(120))]
    assert [len(page["rows"]) for page in pages] == [50, 50, 20, 0]
    assert {page["total"] for page in pages} == {120}


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "since=1h&until=2h", "until=x", "page=-1", "page=9999999", "min=nan",
     "status=40", "pid=1e3", "outcome=fine", f"view={'x' * 10_001}"],
)  # fmt: skip
def test_invalid_parameter_is_named(pages: Client, query: str) -> None:
    """On the page and in JSON; nothing is guessed."""
    name = query.partition("=")[0]
    answer = pages.get(f"/requests.json?{query}")
    assert answer.status_code == 400
    assert name in answer.json()["problem"]
    shown = pages.get(f"/requests/?{query}")
    assert shown.status_code == 400
    assert name in shown.content.decode()


def test_overview_counts_the_events(pages: Client) -> None:
    """Requests without tasks and reports, errors, deaths; the series add up to them."""
    found = get(pages, "overview.json?since=24h")
    totals = found["totals"]
    assert (totals["requests"], totals["errors"], totals["slow"], totals["deaths"]) == (18, 2, 1, 1)
    assert totals["tasks"] == 1
    series = found["series"]
    assert sum(series["requests"]) == 18
    assert sum(series["errors"]) == 2
    assert sum(series["deaths"]) == 1
    assert len({len(series[name]) for name in series if name != "step"}) == 1
    assert found["health"]["events"] == len(EVENTS)


def test_sampled_requests_count_for_those_left_out(tmp_path: Path) -> None:
    """One kept of ten counts as ten."""
    write(tmp_path, [event("a", sample_rate=0.1), event("b", sample_rate=0.5), event("c")])
    with at(tmp_path):
        assert get(Client(), "overview.json")["totals"]["requests"] == 13
        assert get(Client(), "views.json")["rows"][0]["n"] == 13


@pytest.mark.parametrize("rate", [0.0, 1e-320, -1.0, 7.0])
def test_impossible_sample_rate_counts_as_one(tmp_path: Path, rate: float) -> None:
    """As in a damaged line: the others count as usual, on the pages and in answers."""
    write(tmp_path, [event("a", sample_rate=rate), event("b", sample_rate=0.5), event("c")])
    with at(tmp_path):
        assert get(Client(), "overview.json")["totals"]["requests"] == 4
        assert get(Client(), "views.json")["rows"][0]["n"] == 4
        assert Client().get("/?since=all").status_code == 200
    rows = LocalFiles(str(tmp_path)).ask("error-rate").objects()
    assert sum(row["n"] for row in rows) == 4
    assert {row["rate"] for row in rows} == {0.0}


@pytest.mark.parametrize("entry", [{}, {"fingerprint": "S", "count": 1}, {"count": None}])
def test_statement_without_a_time_has_a_row(tmp_path: Path, entry: dict[str, Any]) -> None:
    """As in a damaged line."""
    write(tmp_path, [event("a", db_top=[entry])])
    with at(tmp_path):
        assert Client().get("/sql/?since=all").status_code == 200
        assert len(get(Client(), "sql.json")["rows"]) == 1


def test_views_have_their_parts_of_the_time(tmp_path: Path) -> None:
    """The mean of each part, including requests without it."""
    write(tmp_path, [event("a", db_time=0.04, rest_time=0.01), event("b", rest_time=0.05)])
    with at(tmp_path):
        row = get(Client(), "views.json")["rows"][0]
    assert row["n"] == 2
    assert row["parts"]["db_time"] == pytest.approx(0.02)
    assert row["parts"]["rest_time"] == pytest.approx(0.03)


def test_one_request_shows_all_its_fields(pages: Client) -> None:
    """Of each of its events, the terminal one first, with the meaning of each field."""
    found = get(pages, "request.json?id=group")
    assert [each["event_type"] for each in found["events"]] == ["request", "slow"]
    page = pages.get("/request/?id=group").content.decode()
    for name in found["events"][0]:
        assert name == "event_type" or f"<code>{name}</code>" in page, name
    assert "Groups reports: hash of view and application functions." in page


def test_fields_of_the_application_are_displayed(tmp_path: Path) -> None:
    """By their names in the events."""
    write(tmp_path, [event("a", app_plan="gold", app_items=3)])
    with at(tmp_path):
        found = get(Client(), "request.json?id=a")["main"]
    assert (found["app_plan"], str(found["app_items"])) == ("gold", "3")


def test_groups_of_reports_are_counted_over_time(tmp_path: Path) -> None:
    """First, last, how many, and when."""
    slow = [
        event(f"{each}", 100 * each, event_type="slow", slow_fingerprint="a" if each < 4 else "b")
        for each in range(1, 6)
    ]
    write(tmp_path, slow)
    with at(tmp_path):
        rows = {row["slow_fingerprint"]: row for row in get(Client(), "reports.json")["rows"]}
    assert {name: row["n"] for name, row in rows.items()} == {"a": 3, "b": 2}
    assert {name: sum(row["counts"]) for name, row in rows.items()} == {"a": 3, "b": 2}
    assert rows["a"]["first_seen"] == pytest.approx(NOW - 300)
    assert rows["a"]["last_seen"] == pytest.approx(NOW - 100)


def test_statements_lead_to_their_requests(pages: Client) -> None:
    """With counts, times and the line that runs them."""
    row = get(pages, "sql.json")["rows"][0]
    assert row["statement"] == STATEMENT
    assert (row["runs"], row["requests"], row["line_of"]) == (2, 1, "shop/a.py:1:f")
    assert row["mean"] == pytest.approx(0.02)


def test_deaths_are_by_cause(pages: Client) -> None:
    """One cause can be chosen; an unused cause has no rows."""
    found = get(pages, "deaths.json")
    assert [(each["cause"], each["n"]) for each in found["causes"]] == [("oom", 1)]
    assert [row["req_id"] for row in found["rows"]] == ["dead"]
    assert get(pages, "deaths.json?cause=signal")["rows"] == []


def test_questions_have_the_answers_of_the_command_line(pages: Client) -> None:
    """The same columns and rows."""
    answer = get(pages, "ask.json?q=views&since=24h")["answer"]
    assert answer["columns"] == ["view", "n", "p50", "p95", "p99", "errors"]
    assert {row[0] for row in answer["rows"]} == {"shelf", "basket", None}


def test_own_sql_is_answered_or_refused(pages: Client) -> None:
    """It can only read events: no files, and no writing."""
    found = get(pages, f"ask.json?sql={quote('SELECT count(*) AS n FROM events')}")
    assert found["answer"]["rows"] == [[len(EVENTS)]]
    for wrong in ("DROP TABLE events", "SELECT * FROM read_text('/etc/passwd')", "SELEC", "COPY x"):
        answer = pages.get(f"/ask.json?sql={quote(wrong)}")
        assert answer.status_code == 400
        assert answer.json()["answer"] is None
        assert "root:" not in answer.content.decode()


def test_ask_shows_no_more_than_a_page_can_hold(pages: Client) -> None:
    """500 rows of 4,900 columns took 28 s of a worker whose limit is 10 s."""
    found = get(pages, f"ask.json?sql={quote('SELECT ' + '1,' * 999 + '1 FROM range(500)')}")
    assert len(found["answer"]["rows"]) == 60
    assert "only the first 60 rows are shown" in found["answer"]["notes"][0]
    answer = pages.get(f"/ask/?sql={quote('SELECT ' + '1,' * 3000 + '1')}")
    assert (answer.status_code, b"2,000 columns at most" in answer.content) == (400, True)


@pytest.mark.parametrize("page", ["", "views/", "requests/", "reports/", "deaths/"])
def test_impossible_times_break_no_page(tmp_path: Path, page: str) -> None:
    """A segment may contain any number, and the sum of these is no float."""
    huge = {"db_time": 1e308, "cache_time": 1e308, "rest_time": 1e308, "resp_time": 1e308}
    write(tmp_path / "dir", [{**each, **huge} for each in EVENTS])
    with at(tmp_path / "dir"):
        assert Client().get(f"/{page}?since=all").status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_sql_that_another_site_links_to_is_not_run(pages: Client, site: str) -> None:
    """Else another site could keep the store busy through its visitors."""
    url = f"/ask.json?sql={quote('SELECT count(*) FROM events')}"
    assert pages.get(url, headers={"Sec-Fetch-Site": site}).status_code == 400
    assert pages.get(url, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert pages.get("/ask/?q=views", headers={"Sec-Fetch-Site": site}).status_code == 200


PAGES = {
    name: {"request": "?id=group", "report": "?group=cafe", "flame": "?name=x"}.get(name, "")
    for name in urls.VIEWER.pages
}


@pytest.mark.parametrize("name", PAGES)
def test_each_page_has_the_security_headers(pages: Client, name: str) -> None:
    """Nothing from other origins, nothing inline, nothing cached, no frame."""
    path = "" if name == "overview" else f"{name}/"
    for url in (f"/{path}{PAGES[name]}", f"/{name}.json{PAGES[name]}"):
        answer = pages.get(url)
        policy = answer["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"] == "no-store"
    page = pages.get(f"/{path}{PAGES[name]}").content.decode()
    assert not re.search(r"<[^>]+ (style|on\w+)=", page)
    scripts = re.findall(r"<script([^>]*)>", page)
    allowed = re.compile(r' src="/static/[^"]+" defer| id="\w+" type="application/json"')
    assert [each for each in scripts if not allowed.fullmatch(each)] == []


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"flame"}))
def test_each_page_has_the_command_that_prints_the_same(
    pages: Client, name: str, store: Path
) -> None:
    """In its JSON, too; it can be run as it is."""
    import shlex

    from slowhound.cli import build_parser

    command = get(pages, f"{name}.json{PAGES[name]}")["command"]
    words = shlex.split(command)
    assert words[0] == "slowhound"
    assert f"--dir={store}" in words
    build_parser().parse_args(words[1:])


def test_empty_and_unknown_parameters_are_ignored(pages: Client) -> None:
    """Links are passed on with additions."""
    found = get(pages, "requests.json?view=&path=&utm_source=mail&method=POST")
    assert [row["req_id"] for row in found["rows"]] == ["method"]


# --- stores with problems ---------------------------------------------------------------------


def test_empty_store_is_no_error(tmp_path: Path) -> None:
    """Each page says so, with status 200."""
    (tmp_path / "events").mkdir()
    with at(tmp_path):
        for name in sorted(set(PAGES) - {"request", "report", "flame"}):
            answer = Client().get("/" if name == "overview" else f"/{name}/")
            assert answer.status_code == 200
        assert "The store is empty" in Client().get("/").content.decode()
        assert Client().get("/request/?id=x").status_code == 404


def test_missing_folder_is_no_error(tmp_path: Path) -> None:
    """Nothing has run yet: the overview says what to do, the live page that no data exists."""
    with at(tmp_path / "none"):
        assert "The store is empty" in Client().get("/").content.decode()
        assert "No slowhound data here" in Client().get("/live/").content.decode()


def test_torn_lines_are_counted_and_the_rest_is_displayed(tmp_path: Path) -> None:
    """After a full disk, or a process that was killed within a line."""
    write(tmp_path, [event("a"), event("b")])
    segment = next((tmp_path / "events").iterdir())
    whole = segment.read_text()
    segment.write_text(whole + whole.splitlines()[0][:40])
    with at(tmp_path):
        found = get(Client(), "overview.json")
        assert found["totals"]["requests"] == 2
        assert found["health"]["torn"] == 1
        assert "1 line in the store could not be read" in Client().get("/").content.decode()


def test_store_that_does_not_answer_is_status_503(tmp_path: Path) -> None:
    """With the reason, but without the password."""
    with at(tmp_path, ALLOW="debug", FROM="clickhouse://me:hush@127.0.0.1:1/shop"):
        answer = Client().get("/views/")
        text = answer.content.decode()
        assert answer.status_code == 503
        assert "The store does not answer" in text
        assert "hush" not in text
        assert Client().get("/views.json").status_code == 503


def test_without_duckdb_the_page_says_what_to_install(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is an extra."""
    import sys

    from slowhound.viewer import sources

    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.setattr(sources, "_open_sources", {})
    with at(store):
        answer = Client().get("/")
    assert answer.status_code == 503
    assert "pip install" in answer.content.decode()


def test_missing_report_file_is_mentioned(pages: Client) -> None:
    """Its event is still displayed."""
    page = pages.get(f"/report/?name={report_name(1)}").content.decode()
    assert "The report file is not here" in page
    assert "REPORTS_MAX_BYTES" in page
    assert pages.get("/report/?name=other").status_code == 404


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "x", report_name(2)])
def test_only_regular_report_files_are_read(tmp_path: Path, name: str) -> None:
    """A name out of an event is not a path; a link is not followed."""
    write(tmp_path, [event("a", event_type="slow", slow_fingerprint="f", report=name)])
    folder = tmp_path / "reports"
    folder.mkdir(mode=0o700)
    (folder / report_name(2)).symlink_to("/etc/passwd")
    with at(tmp_path):
        page = Client().get("/report/?group=f").content.decode()
    assert "The report file is not here" in page
    assert "root:" not in page


def test_json_has_no_control_characters(tmp_path: Path) -> None:
    """It may be printed to a terminal."""
    write(tmp_path, [event("a", req_path="/\x1b[2J\u202e\u2028/")])
    with at(tmp_path):
        body = Client().get("/requests.json").content.decode()
    assert body.rstrip("\n").isprintable()
    assert json.loads(body)["rows"][0]["req_path"] == "/\x1b[2J\u202e\u2028/"


def test_every_template_is_used() -> None:
    """One that no page names is left over."""
    folder = Path(responses.TEMPLATES)
    names = {path.name for path in folder.iterdir()}
    used = {f"{name}.html" for name in PAGES} | {"problem.html"}
    for path in folder.iterdir():
        used |= set(re.findall(r"(?:include|extends) \"([\w.]+)\"", path.read_text()))
    assert names == used


# --- flame graphs -----------------------------------------------------------------------------


def drawn(folder: Path) -> str:
    """The name of a profile in this folder, of a function whose name is markup."""
    files = FlameFiles(str(folder), 10**9)
    name = files.name(1)
    profile = Profile(
        event={"req_id": "a", "req_path": "/", "resp_view": "shelf", "slow_fingerprint": "f"},
        started=NOW,
        duration=1.0,
        interval=0.05,
        frames=[ProfileFrame("</script><img onerror=alert(1)>", "shop/views.py", 9)],
        stacks=[[0]],
        samples=[ProfileSample(1.0, 1.0, 0)],
    )
    assert files.write(name, profile)
    return name


def test_flame_graph_has_its_own_policy(tmp_path: Path) -> None:
    """Its one script is allowed by its hash, and only the viewer may frame it."""
    name = drawn(tmp_path)
    write(tmp_path, [event("a", flame=name)])
    with at(tmp_path):
        page = Client().get("/request/?id=a").content.decode()
        assert f'<iframe class="flame" src="/flame.svg?name={name}"' in page
        for query in (f"name={name}", "group=f"):
            assert Client().get(f"/flame/?{query}").status_code == 200
            answer = Client().get(f"/flame.svg?{query}")
            assert answer.status_code == 200
            assert "<img" not in answer.content.decode()
            policy = answer["Content-Security-Policy"]
            assert "'sha256-" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'self'" in policy
            assert answer["X-Frame-Options"] == "SAMEORIGIN"
        exported = Client().get(f"/flame.speedscope.json?name={name}").json()
    assert exported["$schema"].startswith("https://www.speedscope.app/")


@pytest.mark.parametrize("query", ["name=../../etc/passwd", "name=x", "group=none", "name=a%00b"])
def test_missing_flame_graph_is_an_error(tmp_path: Path, query: str) -> None:
    """Of a page, a drawing and an export alike."""
    drawn(tmp_path)
    with at(tmp_path):
        for path in ("flame/", "flame.json", "flame.svg", "flame.speedscope.json"):
            assert Client().get(f"/{path}?{query}").status_code == 404
            assert Client().get(f"/{path}").status_code == 400


def test_vendored_scripts_are_unchanged() -> None:
    """Each file has the hash in its README."""
    folder = Path(assets.STATIC_ROOT)
    text = (folder / "README.md").read_text()
    named = re.findall(r"^    ([0-9a-f]{64})  (\S+)$", text, re.MULTILINE)
    assert {name.partition("/")[0] for _, name in named} >= {"uplot"}
    for digest, name in named:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert "MIT" in (folder / "uplot" / "LICENSE").read_text()
