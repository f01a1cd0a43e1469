"""Pairs in texts that are encoded once or more often, and in multipart forms."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.redaction.mask import MASK
from slowhound.redaction.masking import text
from slowhound.redaction.pairs.encoded import FILL, lowered, part_of_form, view_of

BODY = '{"a": 1, "password": "abc def", "b": 2}'


@pytest.mark.parametrize(
    "encoded",
    [
        quote(BODY),
        quote(quote(BODY)),
        quote(quote(quote(BODY))),
        html.escape(BODY),
        html.escape(html.escape(BODY)),
        BODY.replace('"', "&#34;"),
        BODY.replace('"', "\\u0022"),
        BODY.replace('"', "\\x22"),
        json.dumps(BODY),
        json.dumps(json.dumps(BODY)),
        quote("?next=/login?password=abc def"),
        quote(quote("?next=/login?password=abc")),
        html.escape("/x?a=1&password=abc&b=2"),
        html.escape('<login user="b" password="abc"/>'),
        quote('<password type="t">abc</password>'),
    ],
)
def test_encoded_pair_is_masked_where_it_stands(encoded: str) -> None:
    """Anything else stays encoded."""
    shown = text(encoded)
    before, _, after = shown.partition(MASK)
    assert "abc" not in shown
    assert encoded.startswith(before)
    assert encoded.endswith(after)
    assert len(before) > 7


@pytest.mark.parametrize(
    "harmless",
    [
        quote('{"author": "ada", "token_count": 3}'),
        html.escape('{"author": "ada", "token": "expired"}'),
        "/%D0%B7%D0%B0%D0%BA%D0%B0%D0%B7/12/?page=2",
        "100 %22 of keys",
        "AT&amp;T &lt;token&gt; expired",
        "name=%22ada%22&page=2",
    ],
)
def test_encoded_text_without_a_secret_stays(harmless: str) -> None:
    """So it does in another language."""
    assert text(harmless) == harmless


@given(st.text(alphabet="ab%25&quot;amp#xX27\\u003d\u0130\u00df '\"", max_size=60))
def test_view_is_as_long_as_its_text(value: str) -> None:
    """A place in the view is the same place in the text."""
    assert len(lowered(value)) == len(value)
    assert len(view_of(lowered(value))) == len(value)


def test_view_has_marks_in_the_place_of_codes() -> None:
    """The rest of a code is filled up."""
    assert view_of("a%3db").replace(FILL, "") == "a=b"
    assert view_of("a%253db").replace(FILL, "") == "a=b"
    assert view_of("a&amp;quot;b").replace(FILL, "") == 'a"b'
    assert view_of("plain & simple; 100 %") == "plain & simple; 100 %"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\\r\\n", "\\n"])
def test_part_of_a_multipart_form_is_masked_up_to_the_next(end: str) -> None:
    """As bytes, and as their repr."""
    lines = ["--x", 'Content-Disposition: form-data; name="password"', "", "abc", "def", "--x"]
    rest = ['Content-Disposition: form-data; name="page"', "", "2", "--x--"]
    shown = text(end.join([*lines, *rest]))
    assert shown == end.join([*lines[:3], MASK, lines[5], *rest])


def test_part_with_a_type_of_its_own_and_without_an_end() -> None:
    """A form that was cut off ends with the text."""
    form = 'form-data; name="secret"\r\nContent-Type: text/plain\r\n\r\nabc'
    assert text(form) == form.replace("abc", MASK)
    assert part_of_form('form-data; name="secret"', 24) is None
