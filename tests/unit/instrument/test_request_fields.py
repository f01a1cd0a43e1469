"""Time stamps of proxies, header texts, query strings."""

from __future__ import annotations

from typing import Any

import pytest

from slowhound.core.record import Record
from slowhound.instrument.request import describe_request, header, queue_time
from slowhound.redaction import masking, urls
from slowhound.redaction.sql.shape import sql_shape
from slowhound.redaction.urls import query_keys, query_string, url

NOW = 1_790_000_000.5


@pytest.mark.parametrize(
    "stamp",
    [
        "1790000000.25",
        "t=1790000000.25",
        "1790000000250",
        "t=1790000000250",
        "1790000000250000",
        " t=1790000000250000 ",
    ],
)
def test_queue_time_of_any_unit(stamp: str) -> None:
    """The size of a stamp shows whether it is in seconds, milliseconds or microseconds."""
    assert queue_time(stamp, NOW) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("stamp", ["", "x", "t=", "nan", "inf", "-5", "0", "12", "1690000000"])
def test_queue_time_of_nonsense_is_left_out(stamp: str) -> None:
    """A forged or broken header gives no number at all."""
    assert queue_time(stamp, NOW) is None


def test_clock_ahead_is_no_negative_wait() -> None:
    """A proxy whose clock is a little ahead has a wait of 0."""
    assert queue_time("1790000001", NOW) == 0


def test_header_bytes_are_utf8() -> None:
    """What a client sent as UTF-8 is read as that; anything else keeps its bytes."""
    assert header("Pok\u00c3\u00a9") == "Pok\u00e9"
    assert header("\u00ff") == "\udcff"
    assert header("\u20ac") == "\u20ac"
    assert header(None) is None


@pytest.mark.parametrize(
    ("environ", "referrer"),
    [
        ({"HTTP_REFERER": "http://one/", "HTTP_REFERRER": "http://two/"}, "http://one/"),
        ({"HTTP_REFERRER": "http://two/"}, "http://two/"),
        ({}, None),
    ],
)
def test_referrer_in_either_spelling(environ: dict[str, str], referrer: str | None) -> None:
    """The header ``Referrer``, which no browser sends, is read where there is no ``Referer``."""
    record = Record("GET", "/", 0.0)
    record.environ = environ
    event: dict[str, Any] = {}
    describe_request(record, event)
    assert event["req_referrer"] == referrer


def test_query_string_is_shown_without_its_secrets() -> None:
    """Names of secrets are masked however they are written; keys alone never carry values."""
    shown = query_string("page=2&api%5Fkey=abc&Password=x&flag")
    assert shown == "page=2&api%5Fkey=********************&Password=********************&flag"
    assert query_keys("page=2&token=abc&page=3&flag") == "page,token,flag"


def test_of_many_names_no_more_is_searched_than_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 4,000 characters of names an anonymous client once stopped the loop for 1.5 ms."""
    searched: list[int] = []

    def short_text(text: str) -> str:
        searched.append(len(text))
        return masking.short_text(text)

    monkeypatch.setattr(urls, "short_text", short_text)
    many = "&".join(f"name{number}=1" for number in range(400))
    assert query_keys(many).startswith("name0,name1,name2,")
    assert query_keys("&".join(["ids=1"] * 450 + ["page=2"])) == "ids,page"
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijkl"
    assert "eyJ" not in query_keys(f"{'n' * 190}=1&{jwt}=1")
    assert "Zx9" not in query_keys(f"{'n' * 190}=1&Zx9qLw3Rt5Yb8Nd2=1")
    for name in ("Basic ", "4111-1111-", "123-45-6789 "):
        query_keys("&".join(f"{name}{number}=" for number in range(400)))
    assert max(searched) <= urls.KEYS_LIMIT


@pytest.mark.parametrize(
    ("sql", "shape"),
    [
        (
            "SELECT  *\nFROM t WHERE a = 'it''s' AND b = 12.5",
            "SELECT * FROM t WHERE a = ? AND b = ?",
        ),
        ("... IN (%s, %s, %s)", "... IN (?)"),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT INTO t VALUES (?)"),
        ("WHERE id = %(id)s OR id = $1", "WHERE id = ? OR id = ?"),
        ("WHERE name = 'cut off in the midd", "WHERE name = ?"),
        ("WHERE name = 'it\\'s' AND x = 1", "WHERE name = ? AND x = ?"),
        ('WHERE name = "two words"', "WHERE name = ?"),
        ("SELECT $$secret$$, $tag$secret$tag$, $x$cut", "SELECT ?, ?, ?"),
        ("SELECT 0xFF, 1e5, 1.5E-3", "SELECT ?, ?, ?"),
        ("SELECT 1 /* user=ada */ -- secret\nFROM t", "SELECT ? FROM t"),
        ('SELECT "t1"."col2" FROM t1', 'SELECT "t1"."col2" FROM t1'),
    ],
)
def test_statement_has_a_shape_without_values(sql: str, shape: str) -> None:
    """Literals, placeholders and lists become a question mark; names with digits stay."""
    assert sql_shape(sql) == shape


def test_referrer_is_shown_without_its_secrets() -> None:
    """A reset token in the address of the page before is masked."""
    assert url("https://shop/reset?token=abc&step=2") == (
        "https://shop/reset?token=********************&step=2"
    )
    assert url("https://shop/reset") == "https://shop/reset"
