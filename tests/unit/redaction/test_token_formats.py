"""The table of token formats: each row is found in a text, whole and cut off, and can be read."""

from __future__ import annotations

import json
import random
import re
import string
from pathlib import Path

import pytest

from slowhound.redaction.forms.token_formats import FORMATS, PLACES, WITHIN, WORDS, Format, rows
from slowhound.redaction.forms.tokens import STARTS, any_of, without_tokens
from slowhound.redaction.mask import MASK
from slowhound.redaction.values import mask_values

CORPUS = Path(__file__).parents[2] / "redaction" / "tokens.jsonl"
ALPHABETS = {
    "R": string.ascii_letters + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "H": "0123456789abcdef",
}
PLACEHOLDER = re.compile(r"%(?:([RUH])([0-9]+)|X)%")


def filled(text: str, seed: int) -> tuple[str, list[str]]:
    """The text with random characters for each placeholder, and these characters."""
    source = random.Random(f"{text} {seed}")
    cores: list[str] = []

    def fill(found: re.Match[str]) -> str:
        if found[1] is None:
            return ""  # it is there to keep scanners of this repository quiet
        core = "".join(source.choices(ALPHABETS[found[1]], k=int(found[2])))
        cores.append(core)
        return core

    return PLACEHOLDER.sub(fill, text), [core for core in cores if len(core) >= 8]


LINES = [json.loads(line) for line in CORPUS.read_text().splitlines()]
SECRET = [text for kind, text in LINES if kind == "secret-text"]
HARMLESS = [text for kind, text in LINES if kind == "harmless-text"]


@pytest.mark.parametrize("text", SECRET)
def test_secret_of_the_corpus_does_not_leave(text: str) -> None:
    """This holds for any random part of it."""
    for seed in range(5):
        plain, cores = filled(text, seed)
        shown = mask_values(plain)
        assert MASK in shown
        assert not any(core in shown for core in cores), shown
        assert mask_values(shown) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_of_the_corpus_stays(text: str) -> None:
    """Names, prose, ids and numbers may resemble a token."""
    assert mask_values(text) == text


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.prefix)
def test_row_has_the_source_of_its_format(row: Format) -> None:
    """A person can check each of them."""
    assert row.source.startswith("https://")
    assert row.issuer
    re.compile(row.rest)


def test_tables_have_a_source_in_each_row_and_no_row_twice() -> None:
    """So do the two small ones, and each word is the beginning of a row."""
    for row in (*rows(WITHIN), *rows(PLACES)):
        assert row[-1].startswith("https://"), row
    prefixes = [row.prefix for row in FORMATS]
    assert len(set(prefixes)) == len(prefixes)
    assert set(prefixes) >= WORDS


ENOUGH = "a1B2c3D4e5F6"


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("x ", " y"), ("a=", "&b=1"), ("/x/", "/"), ('{"a": "', '"}'), (r"a\n", r"\nb")],
)
def test_token_is_masked_alone_wherever_it_stands(before: str, after: str) -> None:
    """The text around it stays."""
    for token in (f"ghp_{ENOUGH * 3}", f"AIza{ENOUGH * 3}", f"hvs.{ENOUGH * 3}"):
        assert without_tokens(f"{before}{token}{after}") == f"{before}{MASK}{after}"


@pytest.mark.parametrize("escape", ["%3D", "%20", r"\n", r"\t", r"\u0022", "-", ".", ":", "("])
def test_token_begins_behind_an_escape(escape: str) -> None:
    """The last character of an escape does not belong to the word."""
    assert without_tokens(f"a{escape}ghp_{ENOUGH * 3}") == f"a{escape}{MASK}"


def test_no_token_begins_within_a_word() -> None:
    """``task-`` contains ``sk-``."""
    for text in (f"xghp_{ENOUGH * 3}", f"task-{ENOUGH * 3}", f"XAKIA{'A1' * 8}"):
        assert without_tokens(text) == text


@pytest.mark.parametrize("length", range(8, 20))
@pytest.mark.parametrize("dots", ["", "...", "…"])
def test_token_that_was_cut_off_does_not_show_its_beginning(length: int, dots: str) -> None:
    """A path is cut after 1,000 characters, which may be within a token."""
    for prefix in ("ghp_", "glpat-", "sk-ant-", "npm_", "AIza", "hf_"):
        cut = prefix + (ENOUGH * 3)[:length] + dots
        shown = mask_values(f"x {cut}")
        assert shown.removesuffix(dots) in (f"x {MASK}", f"x {MASK}.."), shown


def test_few_characters_behind_a_beginning_are_shown() -> None:
    """They may be a name, and give nothing away."""
    for text in ("set npm_config", "hf_hub", "see ghp_abc1", "npm_configuration is set"):
        assert mask_values(text) == text


def test_pattern_of_many_words_finds_the_longest() -> None:
    """It does when one is the beginning of another."""
    found = re.compile(any_of(["EAA", "EAAA", "E-x"], STARTS)).findall("EAAA EAAB E-x EA xEAA")
    assert found == ["EAAA", "EAA", "E-x"]
