"""Which names are secret, and how a row of the table is read."""

from __future__ import annotations

import pytest

from slowhound.redaction import names
from slowhound.redaction.name_table import STEMS, TABLE, Secrecy, Where
from slowhound.redaction.names import is_secret, is_secret_field, may_be_a_number, secrecy_of
from tests.redaction.corpus import HERE, lines


def test_each_secret_phrase_has_a_stem() -> None:
    """Without a stem, texts and names are not judged."""
    phrases = [
        phrase
        for secrecy, rows in TABLE
        for row in rows
        for phrase in names._phrases(row.phrases)
        if secrecy is not Secrecy.HARMLESS and "".join(phrase).isascii()
    ]
    assert len(phrases) > 500
    for phrase in phrases:
        assert any(stem in word for word in phrase for stem in STEMS.split()), phrase


def test_each_row_has_a_reason() -> None:
    """A table without reasons cannot be changed."""
    assert all(row.reason for _, rows in TABLE for row in rows)


def test_each_phrase_is_understood() -> None:
    """A star stands in a phrase of one word, and in one that may stand anywhere."""
    for _, rows in TABLE:
        for row in rows:
            for phrase in names._phrases(row.phrases):
                starred = any("*" in word for word in phrase)
                assert not starred or (len(phrase) == 1 and row.where in (Where.ANY, Where.LAST))


def test_name_in_doubt_is_shown_where_it_is_set_and_hidden_where_it_was_found() -> None:
    """Code that sets such a field wants to read it; in a form the name may mean anything."""
    for name in ("session", "auth", "card", "cc", "sid", "sig", "salt", "tokens", "foo_key"):
        assert is_secret(name)
        assert not is_secret_field(f"app_{name}")


def test_harmless_name_of_the_corpus_is_harmless_where_it_was_found() -> None:
    """Few names are shown only in doubt."""
    known = [name for kind, name in lines(HERE / "names.jsonl") if kind == "harmless-name"]
    assert len(known) > 200
    assert [name for name in known if is_secret(name)] == []


def test_namespace_is_no_part_of_a_name() -> None:
    """``app_has_password`` is a question, and ``app_max_tokens`` a quantity."""
    assert not is_secret_field("app_has_password")
    assert not is_secret_field("app_show_password")
    assert not is_secret_field("app_max_tokens")
    assert is_secret_field("app_key_secret")


def test_what_is_about_a_secret_hides_no_other_secret() -> None:
    """``auth_...`` is about logging in, unless a secret follows."""
    for name in ("auth_flow", "session_title", "card_layout", "ticket_price", "key_metrics"):
        assert secrecy_of(name) is Secrecy.HARMLESS
        assert secrecy_of(f"{name}_password") is Secrecy.SECRET
        assert secrecy_of(f"{name}_api_token") is Secrecy.SECRET


@pytest.mark.parametrize(
    "name",
    [
        *("APIKey", "apiKey", "API-KEY", "api.key", "api key", "apikey", "x[api_key]", "api_key1"),
        *(
            "contrase\u00f1a",
            "\u043f\u0430\u0440\u043e\u043b\u044c",
            "\u5bc6\u7801",
            "\uff50\uff41\uff53\uff53",
        ),
        *("MyPassword2", "x" * 500 + "_password"),
    ],
)
def test_name_is_secret_however_it_is_written(name: str) -> None:
    """Of a long name the end is judged."""
    assert secrecy_of(name) is Secrecy.SECRET


def test_numbers_are_secret_where_secrets_are_numbers() -> None:
    """A PIN is a secret number; a number of tokens is not."""
    assert all(map(may_be_a_number, ["pin", "user_pin", "password", "otp", "card_number", "cvc"]))
    assert not any(map(may_be_a_number, ["token", "session_key", "api_key", "cookie", "signature"]))
