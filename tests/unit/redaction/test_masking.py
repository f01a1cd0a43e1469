"""What is masked in texts, addresses and fields, and what is not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.redaction import masking
from slowhound.redaction.databases import errors as database_errors
from slowhound.redaction.forms.numbers import luhn
from slowhound.redaction.mask import MASK
from slowhound.redaction.masking import text
from slowhound.redaction.pairs import search as pairs
from slowhound.redaction.source.lines import source
from slowhound.redaction.sql import shape as sql
from slowhound.redaction.structures import masked, value_of
from slowhound.redaction.urls import query_string, url
from slowhound.redaction.values import mask_values
from tests.site import planted

HARMLESS_TEXTS = [
    "",
    "ssh://git@github.com/shop",
    "https://medium.com/@user and http://shop:8000/@user/",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "order 4111111111111112, item 1234567890123456, at 1790000000250000",
    "2026-11-22 00:15:18.123456+00:00",
    "550e8400-e29b-41d4-a716-446655440000",
    "KeyError: 'name'",
    "max_tokens=4096, author='ada', monkey: 1",
    "Basic authentication is required",
    "connection to server at 10.0.0.5, port 5432 failed: timeout expired",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "/blog/my-very-long-article-name-about-2024-things/",
    "GB29 is no account, DE89370400440532013001 neither",
]


@pytest.fixture
def _masked_more() -> Iterator[None]:
    masking.extend(planted.MASK)
    yield
    masking.extend(())


@pytest.mark.usefixtures("_masked_more")
@pytest.mark.parametrize("kind", planted.KINDS, ids=lambda kind: kind.text[:30])
@pytest.mark.parametrize(
    "around", ["{}", "before {} after", "'{}'", '{{"note": "{}"}}', "a\n{}\nb"]
)
def test_each_kind_is_masked_in_a_text(kind: planted.Planted, around: str) -> None:
    """Each kind of secret that the site plants, alone, among words, in quotes and on a line."""
    shown = text(around.format(kind.text))
    assert not any(needle in shown for needle in kind.needles), shown
    assert MASK in shown


@pytest.mark.parametrize("value", HARMLESS_TEXTS)
def test_harmless_text_stays(value: str) -> None:
    """Numbers, ids, addresses and prose are shown as they are."""
    assert text(value) == value


def test_what_stands_around_a_secret_stays() -> None:
    """Only the value is masked."""
    assert text("GET failed, token='abc', retry=3") == f"GET failed, token='{MASK}', retry=3"
    assert text("postgres://shop:abc@db:5432/x") == f"postgres://shop:{MASK}@db:5432/x"
    assert text('{"a": 1, "password": "x\\"y", "b": 2}') == (
        f'{{"a": 1, "password": "{MASK}", "b": 2}}'
    )
    assert text("a <pin>1234</pin> b") == f"a <pin>{MASK}</pin> b"
    assert text("run --token abc --page 2") == f"run --token {MASK} --page 2"


@given(st.text(alphabet="ab 1:=\"'\\@/<>-,.{}[]()$eyJtokenpasswordBasicAKIA\n", max_size=80))
def test_masked_text_stays_as_it_is(value: str) -> None:
    """Masking twice is masking once, and no text makes it fail."""
    once = text(value)
    assert text(once).replace(MASK, "") == once.replace(MASK, "")
    assert isinstance(
        masking.message(value) + source(value) + url(value) + query_string(value), str
    )


@pytest.mark.usefixtures("_masked_more")
@pytest.mark.parametrize("kind", planted.KINDS, ids=lambda kind: kind.text[:30])
def test_quick_way_for_paths_and_headers_masks_the_same(kind: planted.Planted) -> None:
    """Most of them contain nothing that could be a secret, and are not searched at all."""
    for value in (kind.text, f"/x/{kind.text}/", "/shop/orders/12/"):
        assert masking.short_text(value) == text(value)


@given(st.text(alphabet="ab1-_.:=/ <>@$eyJAKIA07812", max_size=40))
def test_quick_way_is_no_other_way(value: str) -> None:
    """It gives the same result for any text."""
    assert masking.short_text(value) == text(value)


def test_long_text_shows_that_it_is_cut() -> None:
    """Unsearched text is not shown, and the cut is marked."""
    assert text("x " * 10_000) == "x " * 5_000 + "..."
    assert masking.short_text("x/" * 10_000) == "x/" * 5_000 + "..."


REPEATED = re.findall(
    r"\S+",
    r"""
a- a= password=' \ :// ://a: 1 1- eyJaaaaa. -----BEGINPRIVATEKEY----- GB82WEST <a --a tokena
password= password=[ a. pass=\" $1$ md5$ =- a:aaaaaa: sk- <password_ /* ' " $a$ ( ?, Key(
""",
)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", REPEATED)
def test_hostile_text_takes_no_more_time_than_it_is_long(piece: str) -> None:
    """It has a hundred thousand characters that a pattern might read a thousand times."""
    hostile = piece * (100_000 // len(piece))
    pairs.mask_named(hostile)
    mask_values(hostile)
    database_errors.without_quoted(hostile)
    sql._without_literals(hostile, sql._STANDARD)
    sql._without_literals(hostile, sql._WITH_BACKSLASH)
    sql._LISTS.sub("", hostile)


QUOTED = [
    "near '",
    "Key (a)=(",
    "Duplicate entry '",
    "Incorrect date value: '",
    "Failing row contains (",
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("opening", QUOTED)
def test_quotation_of_a_database_without_an_end_is_masked(opening: str) -> None:
    """It was cut off, or there are many, and for each one the end might be searched."""
    assert "hidden" not in masking.message(f"{opening}hidden {'x' * masking.TEXT_READ}' for key 1")
    database_errors.without_quoted(opening * (1_000_000 // len(opening)))


def test_near_is_also_a_word() -> None:
    """A quotation behind it is only masked where it may come from a database."""
    quoted = "no shop near 'Main Street' is open"
    assert masking.message(quoted) == quoted


def test_card_numbers_are_those_with_a_check_digit() -> None:
    """Other long numbers stay whole."""
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert mask_values("3782 822463 10005 378282246310005") == f"{MASK} {MASK}"
    assert mask_values("4111-1111-1111-1111 4111111111111111.") == f"{MASK} {MASK}."


def test_query_string_is_searched_for_secrets() -> None:
    """So are values of harmless names, addresses, and names without a value."""
    assert query_string("q=eyJhbGciOi.eyJzdWIi.abc&page=2") == f"q={MASK}&page=2"
    assert query_string("next=%2Flogin%3Ftoken%3Dabc") == f"next={MASK}"
    assert query_string("next=https%253A%252F%252Fa%253Ab%2540c") == f"next={MASK}"
    assert query_string("d41d8cd98f00b204e9800998ecf8427e") == MASK
    assert query_string("print&author=ada&monkey=1") == "print&author=ada&monkey=1"
    assert query_string("code=abc&state=xyz") == f"code={MASK}&state={MASK}"
    assert query_string("code=404") == "code=404"
    assert query_string("a=" + "x" * 5000) == "a=" + "x" * 998


def test_address_is_searched_in_all_its_parts() -> None:
    """User, path, query and fragment."""
    assert url("https://u:abc@shop/x?token=1#access_token=2&y=3") == (
        f"https://u:{MASK}@shop/x?token={MASK}#access_token={MASK}&y=3"
    )
    assert url("https://shop/#token=1") == f"https://shop/#token={MASK}"
    assert (
        url("https://ghp_abcdefghijklmnopqrstuvwxyz@github.com/x") == f"https://{MASK}@github.com/x"
    )


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        (
            "DETAIL:  Key (email)=(ada@x.org) already exists.",
            "DETAIL:  Key (email)={} already exists.",
        ),
        ("DETAIL:  Failing row contains (1, abc, null).", "DETAIL:  Failing row contains {}."),
        (
            "(1062, \"Duplicate entry 'abc' for key 'x'\")",
            "(1062, \"Duplicate entry {} for key 'x'\")",
        ),
        (
            'invalid input syntax for type integer: "abc"',
            "invalid input syntax for type integer: {}",
        ),
        (
            "Incorrect integer value: 'abc' for column 'x'",
            "Incorrect integer value: {} for column 'x'",
        ),
        ('near "abc": syntax error', "near {}: syntax error"),
        ("no such table: shop_order", "no such table: shop_order"),
    ],
)
def test_values_that_databases_quote_are_masked(quoted: str, shown: str) -> None:
    """PostgreSQL, MySQL and SQLite put values of the row or the statement into their errors."""
    assert masking.message(quoted) == shown.format(MASK)


def test_statement_in_a_database_error_is_a_shape() -> None:
    """PostgreSQL repeats the line that it did not understand."""
    shown = masking.message("syntax error\nLINE 1: SELECT 'abc' FROMM t\n              ^")
    assert shown == "syntax error\nLINE 1: SELECT ? FROMM t ^"


def test_source_code_is_masked_where_a_literal_is_secret() -> None:
    """A name that is passed on gives nothing away."""
    assert source("db = connect(password='abc', user=user)") == (
        f"db = connect(password='{MASK}', user=user)"
    )
    assert source("password = form['password']") == "password = form['password']"
    assert source("fetch('postgres://u:abc@h')") == f"fetch('postgres://u:{MASK}@h')"
    assert source("token = make(user)") == "token = make(user)"


def test_fields_of_the_application_are_masked_by_name_and_by_value() -> None:
    """Flags stay; numbers under a secret name do not; what lies too deep is not shown."""
    assert value_of("app_pin", 1234) == MASK
    assert value_of("app_token", None) is None
    assert value_of("app_secret", True) is True
    assert value_of("app_page", 2) == 2
    assert value_of("app_note", "token=abc") == f"token={MASK}"
    assert value_of("app_x", {"a": ["k", {"password": "abc"}]}) == {"a": ["k", {"password": MASK}]}
    for wrap in (lambda inner: [inner], lambda inner: {"x": inner}):
        deep: object = "abc"
        for _ in range(10):
            deep = wrap(deep)
        assert "abc" not in str(value_of("app_x", deep))


@pytest.mark.parametrize("name", ["app_key", "app_keys"])
def test_field_of_the_application_that_is_just_called_key_is_shown(name: str) -> None:
    """``Context.set("key", "val")`` is no secret, unless by its value or MASK."""
    assert masked({name: "val"}) == {name: "val"}
    assert masked({name: "postgres://shop:hunter2@db/shop"})[name].count("hunter2") == 0
    assert masked({"app_api_key": "val", "api_key": "val"}) == dict.fromkeys(
        ("app_api_key", "api_key"), MASK
    )
    masking.extend([f"^{name}$"])
    assert masked({name: "val"}) == {name: MASK}
    masking.extend([])


def test_setting_extends_what_is_secret_and_can_be_taken_back() -> None:
    """MASK adds names, in any case, and patterns of values."""
    assert text("Maiden_Name=abc ACME-12") == "Maiden_Name=abc ACME-12"
    masking.extend(["maiden", r"value:ACME-\d+"])
    assert text("Maiden_Name=abc ACME-12") == f"Maiden_Name={MASK} {MASK}"
    assert query_string("maiden=1") == f"maiden={MASK}"
    masking.extend(())
    assert text("Maiden_Name=abc ACME-12") == "Maiden_Name=abc ACME-12"


def test_a_wide_colon_is_a_sign_for_the_quick_check_too() -> None:
    """In Chinese and Japanese a colon is as wide as a character."""
    assert masking.short_text("密码\uff1aabc") == f"密码\uff1a{MASK}"


def test_of_a_long_text_of_a_client_only_the_beginning_is_shown() -> None:
    """Half of the limit is shown; of a text full of signs, even less."""
    words = "/word" * 400
    assert masking.client_text(words, 1000) == words[:500] + "..."
    assert masking.client_text("/" + "x=" * 1000, 1000) == "/" + "x=" * 19 + "x..."
    assert masking.client_text(words[:1000], 1000) == words[:1000]
