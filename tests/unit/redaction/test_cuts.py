"""A text that is cut before it is searched shows no part of a secret."""

from __future__ import annotations

import pytest

from slowhound.core import box_payloads
from slowhound.core.record import Record
from slowhound.instrument.exception import message
from slowhound.lifecycle.task_records import TASK_NAME_LIMIT, new
from slowhound.redaction import masking
from slowhound.redaction.cuts import cut
from slowhound.redaction.mask import MASK
from slowhound.redaction.plain_data import TEXT_LIMIT, VALUE_LIMIT
from slowhound.redaction.structures import masked
from slowhound.redaction.urls import query_keys
from slowhound.watch.safe_repr import READ_TEXT, Printer

# Nothing of it may be seen of which this much can be.
SEEN = 9
SECRETS = {
    "4111111111111111": "4111111111111111",
    "4111 1111 1111 1111": "4111 1111 1111 1111",
    "GB82 WEST 1234 5698 7654 32": "WEST 1234 5698",
    "postgres://shop:hunter2hunter2@db.example/shop": "hunter2hunter2",
    "ghp_1Abcdefghijklmnopqrst2uvwxyzABCDEFG": "ghp_1Abcdefghijklmnopqrst2",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl": "eyJhbGciOiJIUzI1NiJ9",
    "password='hunter2hunter2'": "hunter2hunter2",
}
# Of this as many characters are left as of a mask: what comes behind it moves into sight.
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----"
each_secret = pytest.mark.parametrize(("secret", "core"), SECRETS.items(), ids=list(SECRETS))


def cut_in(secret: str, limit: int, filling: str = "a ") -> list[str]:
    """Texts with the secret where a cut at the limit goes through it, at each of its characters."""
    found = []
    for position in range(SEEN, len(secret)):
        before = (filling * limit)[: limit - position - 1]
        found.append(f"{before} {secret} and so on{' more' * 50}")
    return found


def is_shown(core: str, text: object) -> bool:
    return core[:SEEN] in str(text)


@each_secret
def test_text_is_cut_between_words(secret: str, core: str) -> None:
    """A secret is in it whole, and masked, or not at all."""
    for text in cut_in(secret, 1000):
        shown = masking.text(cut(text, 1000))
        assert not is_shown(core, shown), shown[-100:]
        assert shown.startswith("a a a a")


@each_secret
def test_field_is_cut_between_words(secret: str, core: str) -> None:
    """So is a member of a field that is too long with all its members."""
    for text in cut_in(secret, TEXT_LIMIT):
        rest = VALUE_LIMIT - TEXT_LIMIT - 8
        fields = {
            "app_note": text,
            "app_failed": ValueError(text),
            "app_items": {"a": "b " * (rest // 2), "note": text},
        }
        shown = masked(fields)
        assert not is_shown(core, shown), str(shown)[-100:]


@each_secret
def test_text_of_an_exception_shows_no_beginning(secret: str, core: str) -> None:
    """A mask is shorter than a secret, so the end of what was read comes into view."""
    for text in cut_in(secret, masking.TEXT_READ, f"{KEY} "):
        shown = message(ValueError(text))
        assert not is_shown(core, shown), shown[-100:]


@each_secret
def test_local_variable_shows_no_beginning(secret: str, core: str) -> None:
    """Texts, bytes, and texts in a dict are cut the same way."""
    for text in cut_in(secret, READ_TEXT, f"{KEY} "):
        for value in (text, text.encode(), {"note": text}):
            shown = Printer(frozenset()).named("x", value)
            assert not is_shown(core, shown), shown[-100:]


@each_secret
def test_name_of_a_task_shows_no_beginning(secret: str, core: str) -> None:
    """It is cut before it is searched."""
    for text in cut_in(secret, TASK_NAME_LIMIT):
        record = new("function", text)
        assert record is not None
        assert not is_shown(core, record.path), record.path[-100:]


@each_secret
def test_header_shows_no_beginning(secret: str, core: str) -> None:
    """Nor does the copy in the black box."""
    for text in cut_in(secret, masking.HEADER_LIMIT, f"{KEY} "):
        record = Record("GET", "/", 0.0)
        record.environ = {"HTTP_USER_AGENT": text}
        shown = masking.client_text(text, masking.HEADER_LIMIT)
        assert not is_shown(core, shown), shown[-100:]
        assert not is_shown(core, box_payloads.who_payload(record))


def test_name_of_a_parameter_that_was_cut_is_not_shown() -> None:
    """Masks of those before it are shorter, and make room for it."""
    before = "eyJhbGciOiJIUzI1NiJ9." * 47
    assert query_keys(f"{before}&411111111111{'1' * 40}") == MASK


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("so many words of a sentence", "so many wo"),
        ("see order 2024 of the year", "see order "),
        ("alongwordwithoutanything", "alongwordw"),
        ("short", "short"),
    ],
)
def test_words_are_cut_anywhere(text: str, shown: str) -> None:
    """A text of plain characters only is no secret."""
    assert cut(text, 10) == shown
