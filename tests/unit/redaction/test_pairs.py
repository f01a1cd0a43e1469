"""Values behind secret names in texts are masked however they are written; other text stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slowhound.redaction import masking
from slowhound.redaction.mask import MASK
from slowhound.redaction.masking import short_text, text
from slowhound.redaction.name_table import STEMS, TABLE, Secrecy
from slowhound.redaction.pairs import search as pairs
from slowhound.redaction.pairs.command_lines import _APART, _ROOTS, passwords_in
from slowhound.redaction.pairs.search import mask_named

CORPUS = Path(__file__).parents[2] / "redaction" / "pairs.jsonl"
LINES = [json.loads(line) for line in CORPUS.read_text().splitlines()]
SECRET = [text for kind, text in LINES if kind == "secret-text"]
HARMLESS = [text for kind, text in LINES if kind == "harmless-text"]
# What the password of the corpus begins with.
CORE = "hunter2"


@pytest.mark.parametrize("around", ["{}", "before {} after", "a\n{}\nb"])
@pytest.mark.parametrize("secret", SECRET)
def test_secret_is_gone_however_it_is_written(secret: str, around: str) -> None:
    """Each line of the corpus is tried alone, in a sentence, and among other lines."""
    shown = text(around.replace("{}", secret))
    assert CORE not in shown
    assert MASK in shown


@pytest.mark.parametrize("harmless", HARMLESS)
def test_ordinary_message_is_not_touched(harmless: str) -> None:
    """It describes a secret, or only has the name of one."""
    assert text(harmless) == harmless


@pytest.mark.parametrize("line", SECRET + HARMLESS)
def test_masked_once_is_masked_for_good(line: str) -> None:
    """A second run changes nothing, and the quick way gives the same."""
    assert text(text(line)) == text(line)
    assert short_text(line) == text(line)


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("User(name='b', password='abc', age=3)", "User(name='b', password='{}', age=3)"),
        ("{'secret': [['a'], 'abc'], 'b': 1}", "{{'secret': {}, 'b': 1}}"),
        (r'{\"password\": \"a\\\"bc\", \"b\": 1}', r'{{\"password\": \"{}\", \"b\": 1}}'),
        ("password='it''s', b=1", "password='{}', b=1"),
        ("password='', b='abc'", "password='', b='abc'"),
        ("password=SecretStr('abc'), b=1", "password={}, b=1"),
        ("token=<Token: abc> b", "token={} b"),
        ("(b'authorization', b'Bearer abc'), (b'a', b'b')", None),
        ("-H 'Authorization: Bearer abc' https://x", "-H 'Authorization: {}' https://x"),
        ("Cookie: a=b; c=abc\nHost: x", "Cookie: {}\nHost: x"),
        ('{"name": "pin", "value": "abc", "b": 1}', '{{"name": "pin", "value": "{}", "b": 1}}'),
        ('{"value": "abc", "name": "password"}', '{{"value": "{}", "name": "password"}}'),
        ("name=password&value=abc&b=1", "name=password&value={}&b=1"),
        ('<login user="b" password="abc"/>', '<login user="b" password="{}"/>'),
        ('<w:Password Type="t">abc</w:Password>', '<w:Password Type="t">{}</w:Password>'),
        ("<password><![CDATA[a<b]]></password>", "<password><![CDATA[{}]]></password>"),
        ('<param name="password" value="abc"/>', '<param name="password" value="{}"/>'),
        ("run --api-key 'x y' --page 2", "run --api-key '{}' --page 2"),
        ("mysql -u root -pabc shop", "mysql -u root -p{} shop"),
        ("curl -u ada:abc https://x", "curl -u ada:{} https://x"),
        ("https://x/callback?code=abc&b=1", "https://x/callback?code={}&b=1"),
        ("/shop;jsessionid=abc?page=2", "/shop;jsessionid={}"),
        ("passphrase: correct horse battery\nb", "passphrase: {}\nb"),
    ],
)  # fmt: skip
def test_only_the_value_goes(quoted: str, shown: str | None) -> None:
    """The text around it stays readable."""
    if shown is None:
        shown = "(b'authorization', b'{}'), (b'a', b'b')"
    assert text(quoted) == shown.format(MASK)


def test_value_of_a_line_of_settings_ends_at_a_blank() -> None:
    """A comma separates pairs within a line, but belongs to a password behind a name."""
    assert text("a=1\nexport PASSWORD=ab,c;d\nb=2") == f"a=1\nexport PASSWORD={MASK}\nb=2"
    assert text("a=1 password=ab,c") == f"a=1 password={MASK},c"
    assert text("password=ab,c=d") == f"password={MASK},c=d"


def test_word_behind_a_doubtful_name_is_shown_in_prose_only() -> None:
    """In query strings, quotes and dicts it is data, and hidden."""
    assert text("session: Keynote") == "session: Keynote"
    assert text("/x?session=Keynote") == f"/x?session={MASK}"
    assert text("session=Keynote&page=2") == f"session={MASK}&page=2"
    assert text("{'session': 'Keynote'}") == f"{{'session': '{MASK}'}}"
    assert text("session: k3yn0te") == f"session: {MASK}"


def test_word_before_makes_a_secret_of_a_key() -> None:
    """The word before a key decides whether it is secret."""
    assert text("api key: abc") == f"api key: {MASK}"
    assert text("security code: 123") == f"security code: {MASK}"
    assert text("sort key: abc, error code: 123") == "sort key: abc, error code: 123"


def test_list_of_names_is_no_pair() -> None:
    """Two names in a list are two names; in a tuple, or in a list of lists, one has the other."""
    assert text("Missing fields: ['password', 'email']") == "Missing fields: ['password', 'email']"
    assert text("('password', 'abc')") == f"('password', '{MASK}')"
    assert text("[['password', 'abc'], ['a', 'b']]") == f"[['password', '{MASK}'], ['a', 'b']]"
    assert text("('password', 'abc', 'name')") == "('password', 'abc', 'name')"


def test_what_has_too_many_secrets_goes_as_a_whole() -> None:
    """From the next one on, one mask covers the rest, which limits the cost of a text."""
    for values, length in ((64, 10_000), (64, 6_000), (22, 1_000), (16, 400)):
        shown = mask_named(("password=abc, " * 1_000)[:length])
        assert shown.count(MASK) == values + 1
        assert shown.endswith(MASK)
        assert "abc" not in shown


def test_names_of_the_setting_mask_need_no_stem() -> None:
    """They are searched among all names."""
    assert text("inside_leg=80cm") == "inside_leg=80cm"
    masking.extend(["inside_leg"])
    try:
        assert text("a=1 inside_leg=80cm") == f"a=1 inside_leg={MASK}"
        assert text("inside%5Fleg%3D80cm b") == f"inside%5Fleg%3D{MASK} b"
    finally:
        masking.extend(())


def test_each_secret_phrase_has_a_stem_that_a_search_finds() -> None:
    """A text without a stem is not searched for pairs."""
    for secrecy, rows in TABLE:
        if secrecy is Secrecy.HARMLESS:
            continue
        for phrase in " ".join(row.phrases for row in rows).replace("+", " ").split():
            if not phrase.isascii():
                assert pairs.STEM.search(phrase) is not None
    assert all(pairs.STEM.search(stem) for stem in STEMS.split())


def test_short_option_means_a_password_only_for_its_program() -> None:
    """``-p`` is a port, a parent, a pattern; ``-u`` without a colon has no password."""
    assert passwords_in("sshpass -p abc ssh -p 22 x") == [(11, 14)]
    assert passwords_in("mkdir -p abc && ssh -p 2222 x && curl -u ada https://x") == []
    assert passwords_in("mysql -p shop; ls -pabc") == []
    for program in _APART:
        assert any(root in program for root in _ROOTS)
    hostile = "curl -u a:b " * 100
    assert passwords_in(hostile)[-1][1] == len(hostile)


PIECES = [
    "a-", "a=", "password='", "password=[", "password=", "password: ", "--a ", "<a ", "<password ",
    '<password a="', '<param name="password" ', "('password',", "[['password','", "key=", "code=",
    '{"name":"password",', '"value":"x","name":"password"', 'form-data; name="password"\r\n',
    "curl -u ", "-password ", "/reset/", "password=<a:", "pass", "pass-", "password: this ", "%22",
    "&quot;", "&amp;", "%2525", "\\u0022", "card number ", "password:\n - ", "name=password&", " -",
]  # fmt: skip


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", PIECES)
def test_hostile_text_is_gone_through_once(piece: str) -> None:
    """A million characters, each read from each other one, would take forever."""
    mask_named(piece * (1_000_000 // len(piece)))
