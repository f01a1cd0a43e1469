"""Query strings and addresses: names, answers of login providers, signed addresses, cuts."""

from __future__ import annotations

import pytest

from slowhound.redaction.mask import MASK
from slowhound.redaction.masking import text
from slowhound.redaction.pairs.links import tokens_of
from slowhound.redaction.urls import QUERY_LIMIT, query_string, url


@pytest.mark.parametrize(
    "query",
    [
        "code={}&state={}",
        "code={}&session_state=&iss=x",
        "state={}&client_id=x&response_type=code&nonce={}",
        "SAMLResponse={}&RelayState={}",
        "id_token_hint={}&client_assertion={}&code_verifier={}",
        "X-Amz-Credential={}&X-Amz-Date=2026&X-Amz-Security-Token={}&X-Amz-Signature={}",
        "X-Goog-Credential={}&X-Goog-Signature={}",
        "sv=2026&sig={}",
        "Expires=1&Policy={}&Signature={}&Key-Pair-Id={}",
        "user%5Bpassword%5D={}&page=2",
        "session={}&auth={}",
        "ticket={}",
    ],
)
def test_secret_parameter_is_hidden(query: str) -> None:
    """A status word may be its value here, so any value is hidden."""
    assert query_string(query.replace("{}", "none")) == query.replace("{}", MASK)
    assert "abc" not in url(f"https://x/y?{query.replace('{}', 'abc')}")
    assert "abc" not in url(f"https://x/y#{query.replace('{}', 'abc')}")


@pytest.mark.parametrize(
    "query",
    [
        "code=404",
        "state=CA&zip=94110",
        "policy=strict",
        "page=2&sort=key&q=tokens",
        "author=ada&country_code=de",
        "print",
        "q=100%25+sure",
        "next=%2Forders%2F12%2F",
        "a=&b=&c",
    ],
)
def test_harmless_parameter_is_shown(query: str) -> None:
    """As it was sent."""
    assert query_string(query) == query


def test_path_shows_the_answer_of_a_provider() -> None:
    """A code may be one of a country, unless a provider redirects to the path."""
    assert url("https://x/accounts/google/login/callback/?code=abc&b=1") == (
        f"https://x/accounts/google/login/callback/?code={MASK}&b=1"
    )
    assert url("https://x/shop/?code=abc") == "https://x/shop/?code=abc"
    assert url("/shop;jsessionid=abc?page=2") == f"/shop;jsessionid={MASK}?page=2"


def test_token_in_a_path_is_one_behind_a_word_that_says_so() -> None:
    """Titles of pages are no tokens, however long they are."""
    token = "a8f3b2c1" + "d4e5f6a7b8"
    assert text(f"/unsubscribe/{token}/") == f"/unsubscribe/{MASK}/"
    assert text(f"https://x/magic-link/{token}") == f"https://x/magic-link/{MASK}"
    assert text(f"/media/{token}.jpg") == f"/media/{token}.jpg"
    for path in ("/verify/how-to-verify-your-email/", "/reset/12345678901234567/", "/join/"):
        assert tokens_of(path) == []
        assert text(path) == path


def test_cut_shows_no_beginning_of_a_secret() -> None:
    """The end of a cut query string may have been anything; words are shown."""
    token = "A1" + "b2C3d4" * 10
    for length in range(QUERY_LIMIT - 100, QUERY_LIMIT + 300, 7):
        query = "q=" + "x" * length + f"&r={token}" + "&z=1" * 1_000
        assert "A1b2" not in query_string(query)[:QUERY_LIMIT].replace(f"r={token}&", "")
    assert query_string("a=" + "x" * 5_000) == "a=" + "x" * 998
    assert query_string("a=1&b=" + "x1" * 5_000) == f"a=1&b={MASK}"
    assert url("https://x/" + "y1" * 15_000) == f"https://x/{MASK}"


def test_value_masked_before_the_limit_brings_no_unsearched_rest_into_view() -> None:
    """A mask is shorter than what it hides, so more of the query string is seen."""
    query = "token=" + "a" * 900 + "&q=" + "b" * 150 + "&r=A1b2" + "C3d4" * 1_000
    shown = query_string(query)
    assert "A1b2" not in shown
    assert len(shown) <= QUERY_LIMIT


def test_query_string_of_too_many_parameters_goes_from_there_on() -> None:
    """It does if it contains a secret at all."""
    harmless = "&".join(f"a{number}=1" for number in range(100))
    assert query_string(harmless) == harmless
    shown = query_string(f"{harmless}&token=abc")
    assert shown.startswith("a0=1&a1=1&")
    assert shown.endswith(f"a63=1&{MASK}")


@pytest.mark.parametrize(
    "address",
    [
        "https://x.org/#/orders/12/lines/edit",
        "https://x.org/faq#how-do-i-reset-my-password",
        "https://x.org/settings#std-setting-SECRET_KEY",
        "https://x.org/?include_archived_orders",
        "https://x.org/?state=CA&code=94110",
    ],
)
def test_words_of_an_address_are_shown(address: str) -> None:
    """So are fragments and flags made of words, and what no login provider sends."""
    assert url(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "https://x.org/#{}",
        "https://x.org/?{}",
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={}",
    ],
)
def test_secret_without_a_secret_name_is_hidden(address: str) -> None:
    """So are a long random word, and a webhook's key in a query string."""
    secret = "0f8e1d2c-4b5a-6978-8796-a5b4c3d2e1f0"
    assert url(address.replace("{}", secret)) == address.replace("{}", MASK)
