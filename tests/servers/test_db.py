"""Queries are counted, timed and compared per request, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import loc

Databases = dict[str, Any] | None


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """The site's DATABASES; None is SQLite."""
    return {"default": request.getfixturevalue("postgres")} if request.param == "postgres" else None


@pytest.fixture(scope="module", params=["sync", "gthread"])
def db_site(request: pytest.FixtureRequest, serve_module: Launcher, databases: Databases) -> Site:
    """The site on each database, under each kind of worker."""
    return serve_module(worker=request.param, databases=databases)


@pytest.fixture(scope="module")
def pg_site(serve_module: Launcher, postgres: dict[str, Any]) -> Site:
    """The site on PostgreSQL."""
    return serve_module(worker="gthread", databases={"default": postgres})


def counts(event: dict[str, Any]) -> tuple[int, int]:
    return event.get("db_queries") or 0, event.get("db_dup_queries") or 0


def test_different_statements_are_counted(db_site: Site) -> None:
    """Five different statements are five queries and no duplicates."""
    event = db_site.event("/five/")
    assert counts(event) == (5, 0)
    assert event["db_time"] > 0
    assert not event.get("db_n1")


def test_request_without_queries_has_no_counts(db_site: Site) -> None:
    """A request without queries has no counts."""
    assert counts(db_site.event("/ok/")) == (0, 0)


def test_n_plus_one_is_counted_and_located(db_site: Site) -> None:
    """A query that is repeated for each row is a duplicate, with the application's line."""
    event = db_site.event("/n1/")
    assert counts(event) == (7, 6)
    assert 0 < event["db_dup_time"] <= event["db_time"]
    # On 3.11 a list comprehension is a separate function.
    assert event["db_n1"] in {loc("views/db.py", "n1", name) for name in ("n1", "<listcomp>")}


def test_top_statements_are_listed(db_site: Site) -> None:
    """db_top has the statements with fingerprint, count, time and the line that repeats them."""
    event = db_site.event("/n1/")
    top = event["db_top"]
    assert sorted(entry["count"] for entry in top) == [1, 6]
    repeated = max(top, key=lambda entry: entry["count"])
    assert repeated["line"] == event["db_n1"]
    assert repeated["time"] > 0
    assert repeated["fingerprint"] != min(top, key=lambda entry: entry["count"])["fingerprint"]


def test_top_statements_are_not_in_the_line(db_site: Site) -> None:
    """db_top is too long for a line, and is in the JSON event only."""
    line = db_site.terminal_line(db_site.get("/n1/").agent)
    assert "db_top" not in line
    assert (line["db_queries"], line["db_dup_queries"]) == ("7", "6")


def test_fingerprint_is_the_same_in_each_request(db_site: Site) -> None:
    """The same statement has the same fingerprint in every request."""
    prints = [{entry["fingerprint"] for entry in db_site.event("/n1/")["db_top"]} for _ in range(2)]
    assert prints[0] == prints[1]


def test_few_repeats_are_no_n_plus_one(db_site: Site) -> None:
    """Four repeats are duplicates, but not yet an N+1."""
    event = db_site.event("/four-times/")
    assert counts(event) == (4, 4)
    assert not event.get("db_n1")


def test_executemany_is_one_query(db_site: Site) -> None:
    """Executemany is one query however many parameter sets it has."""
    assert counts(db_site.event("/many/")) == (2, 0)


def test_iterator_is_one_query(db_site: Site) -> None:
    """.iterator(), a server-side cursor on PostgreSQL, is one query."""
    assert counts(db_site.event("/server-side/")) == (1, 0)


def test_failing_statement_is_counted(db_site: Site) -> None:
    """A query that the database refuses is counted, and the view still handles its error."""
    answer = db_site.get("/bad-sql/")
    assert answer.text == "survived"
    assert counts(db_site.terminal(answer.agent)) == (1, 0)


def test_threads_with_the_context_count_to_the_request(db_site: Site) -> None:
    """No query is lost when several threads of one request query at once."""
    assert counts(db_site.event("/db-threads/8/50/"))[0] == 400


def test_threads_without_the_context_do_no_harm(db_site: Site) -> None:
    """Threads without the request's context do not change its count."""
    answer = db_site.get("/db-bare-threads/4/5/")
    assert answer.text == "bare threads"
    assert counts(db_site.terminal(answer.agent))[0] in (1, 21)


def test_counts_are_right_under_debug(serve: Launcher, databases: Databases) -> None:
    """DEBUG, with Django's own recording of queries, changes no count."""
    site = serve(databases=databases, django={"DEBUG": True})
    assert counts(site.event("/n1/")) == (7, 6)
    assert counts(site.event("/many/")) == (2, 0)
    assert counts(site.event("/five/")) == (5, 0)


@pytest.mark.parametrize("max_age", [0, None])
def test_connection_opened_before_the_first_request(serve: Launcher, max_age: int | None) -> None:
    """A connection that was open before any request is counted like the others."""
    # Without an age limit the first request finds the very connection the start-up opened.
    site = serve(warm=True, databases=persistent(serve, max_age))
    assert counts(site.event("/n1/")) == (7, 6)
    assert counts(site.event("/five/")) == (5, 0)


def persistent(serve: Launcher, max_age: int | None) -> dict[str, Any]:
    name = str(serve.folder / "site0" / "default.sqlite3")
    return {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "CONN_MAX_AGE": max_age}
    }


def test_persistent_connections_count_each_query_once(serve: Launcher) -> None:
    """On a connection that outlives requests, each query is counted once."""
    site = serve(databases=persistent(serve, None))
    assert [counts(site.event("/five/")) for _ in range(4)] == [(5, 0)] * 4


def test_aliases_are_counted_apart(site: Site) -> None:
    """With several databases, the totals count all, and each alias has its own counts."""
    event = site.event("/aliases/")
    assert counts(event) == (3, 2)
    by_alias = {
        alias: (part["queries"], part["dup_queries"])
        for alias, part in event["db_by_alias"].items()
    }
    assert by_alias == {"default": (2, 2), "other": (1, 0)}


def test_composed_statements_are_told_apart_by_their_text(pg_site: Site) -> None:
    """Composed statements of psycopg are compared as the SQL that they become."""
    event = pg_site.event("/composed/")
    assert counts(event) == (5, 5)
    assert event["db_n1"] == loc("views/db.py", "composed", "composed")


def test_time_in_the_database_is_measured(pg_site: Site) -> None:
    """db_time has the time that a query took in PostgreSQL."""
    event = pg_site.event("/slow-sql/")
    assert 0.1 <= event["db_time"] <= event["resp_time"]


def test_parameters_are_never_recorded(site: Site) -> None:
    """Statements are recorded without their parameters."""
    event = site.event("/many/")
    assert "note 7" not in str(event)
