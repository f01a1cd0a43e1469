"""No pattern, and no code that masks a text, takes more than linear time on any text.

Each pattern is taken apart, and the texts that could be slow are made of its own parts. For one
pattern the steps are counted, which no other program on the machine disturbs. What masks a text is
timed, as ratios within one run; what seems steep is measured again, and again with longer texts.
"""

from __future__ import annotations

import pkgutil
import random
from functools import cache
from typing import Any

import pytest

from slowhound import redaction
from tests.harness import regex_nodes

if not regex_nodes.PARSER:
    pytest.skip("this Python parses regular expressions in another way", allow_module_level=True)

from bench import masking

from tests.harness import growth, maskers
from tests.harness.growth import Judged, Work
from tests.harness.patterns import Pattern, all_patterns
from tests.harness.regex_attacks import Attack, Parts, attacks, mixed
from tests.harness.regex_structure import SURE, suspicions

pytestmark = pytest.mark.slow

FOUND = pkgutil.walk_packages(redaction.__path__, "redaction.")
FILES = sorted(each.name for each in FOUND if not each.ispkg)
# How a pattern is used where its module does not say it by name; the rest of a name may follow.
WAYS = {
    "redaction.names._": ("fullmatch", "of one word, each by the loop in block_of_word"),
    "redaction.forms.keys._LINE": (
        "match",
        "of the pieces between line ends, by the loop over them",
    ),
    "redaction.forms.keys._LAST_LINE": ("match", "the same"),
    "on_demand.writer._CAPPED": ("fullmatch", "of names of files"),
    "delivery.spool.SPOOL_NAMES": ("fullmatch", "of names of files"),
    "store.segments.SEGMENTS": ("fullmatch", "of names of files"),
}
# Those that are not linear, and need not be.
BOUNDED = {
    "flames.render.collapsed._NUMBER": "titles of frames: no runs of spaces are in a shape of SQL",
    "viewer.sources.": "the STORE that the operator has set",
    "frames.frames._LINE": "of one line; only a line end would make it go back",
    "viewer.report_parser.MOMENT": "the same",
}
# Of the texts for one pattern so many are tried: of those of SQL there are more than a thousand.
MOST, MOST_OF_OTHERS = 150, 60
NAMES = sorted(maskers.maskers(0))


@cache
def patterns() -> list[Pattern]:
    """All patterns of slowhound, in the way in which each is used; each of them once."""
    found = [_in_its_way(each) for each in all_patterns()]
    return [*{each[2:]: each for each in reversed(found)}.values()][::-1]


def _in_its_way(pattern: Pattern) -> Pattern:
    if pattern.way != "search":
        return pattern
    ways = (way for name, (way, _) in WAYS.items() if str(pattern).startswith(name))
    return pattern._replace(way=next(ways, pattern.way))


@cache
def judged(pattern: Pattern) -> Judged:
    """The cost of the texts for a pattern."""
    parts = Parts(pattern.text, pattern.flags)
    made = attacks(parts) + mixed(parts.units(), 40)
    most = MOST if ".redaction." in pattern.module else MOST_OF_OTHERS
    chosen = random.Random(1).sample(made, min(most, len(made)))
    found = suspicions(pattern.text, pattern.flags, pattern.way)
    return growth.judged(pattern, [each for one in found for each in one.attacks] + chosen)


def steep(chosen: list[Pattern]) -> str:
    """A line for each text that takes one of these patterns more than linear time."""
    return "\n".join(
        f"{each} ({each.way}): {work}" for each in chosen for work in judged(each).steep
    )


@pytest.mark.parametrize("file", FILES)
def test_no_pattern_of_redaction_takes_more_than_linear_time(file: str) -> None:
    """Twice the text takes at most about twice the steps."""
    found = steep([each for each in patterns() if each.module == f"slowhound.{file}"])
    assert not found, found


def test_no_other_pattern_takes_more_than_linear_time() -> None:
    """Except those that no client's text can reach."""
    others = [each for each in patterns() if ".redaction." not in each.module]
    found = steep([each for each in others if not str(each).startswith(tuple(BOUNDED))])
    assert not found, found


def test_what_need_not_be_linear_is_not() -> None:
    """A pattern that was fixed leaves the list."""
    for name in BOUNDED:
        of_it = [each for each in patterns() if str(each).startswith(name)]
        assert steep(of_it), name


def test_no_group_is_possessive_and_no_repeat_is_all_that_is_repeated() -> None:
    """The structure alone shows that; what it only suspects is among the texts above."""
    wrong = [
        f"{pattern}: {found.rule}: {found.where}"
        for pattern in patterns()
        for found in suspicions(pattern.text, pattern.flags, pattern.way)
        if found.rule in SURE
    ]
    assert not wrong


@cache
def texts() -> list[Attack]:
    """Texts that keep the patterns busy, and the maskers."""
    chance, found, units = random.Random(1), [], []
    for pattern in patterns():
        if ".redaction." in pattern.module:
            parts, of_it = Parts(pattern.text, pattern.flags), judged(pattern)
            busy = [each.attack for each in [*of_it.steep, *of_it.busy[:3]]]
            found += busy + _behind(pattern, busy)
            units += chance.sample(parts.units(), min(6, len(parts.units())))
    found += maskers.seeded(250) + mixed(units + list(maskers.SEEDS), 150)
    return [each for each in dict.fromkeys(found) if each.unit]


def _behind(pattern: Pattern, busy: list[Attack]) -> list[Attack]:
    """The same texts behind a match of another pattern of the same row of a table."""
    row, _, place = pattern.name.rpartition("[")
    rows = [each for each in patterns() if each.name.startswith(f"{row}[") and place]
    heads = [
        Parts(each.text, each.flags).examples[-1]
        for each in rows
        if each.module == pattern.module and each != pattern and each.name.count("[") > 1
    ]
    return [each._replace(head=head + each.head) for each in busy[:2] for head in heads[:2]]


def slowest(masker: maskers.Masker, number: int, size: int = 4000) -> list[Attack]:
    """The texts that take it longest: a quick run with each, and another run with those."""
    found = texts()
    for few, times in ((20, 1), (number, 3)):
        took = {each: growth.seconds(masker, each.text(size), times) for each in found}
        found = sorted(took, key=lambda each: -took[each])[:few]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_masker_takes_more_than_linear_time(name: str, monkeypatch: Any) -> None:
    """Without its caches and cuts, up to lengths that never reach it."""
    masker = maskers.maskers(maskers.BOUNDLESS)[name]
    maskers.without_caches(monkeypatch)
    maskers.without_cuts(monkeypatch)
    wrong: list[Work] = []
    for attack in slowest(masker, 5):
        work = growth.time_of(masker, attack)
        wrong += [work] if work.slope >= growth.STEEP_IN_TIME else []
        if len(wrong) == 2:
            break
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("name", NAMES)
def test_no_masker_takes_more_than_linear_time_with_its_cuts(name: str, monkeypatch: Any) -> None:
    """A text that will be cut is not read in another way before."""
    masker = maskers.maskers(maskers.SHOWN)[name]
    maskers.without_caches(monkeypatch)
    for attack in slowest(masker, 2, 1000):
        work = growth.time_of(masker, attack, growth.LARGEST_TEXT // 2)
        assert work.slope < growth.STEEP_IN_TIME, str(work)


def test_client_gains_nothing_by_sending_more(monkeypatch: Any) -> None:
    """4 kB, 40 kB and 400 kB of path, referrer, agent and query: they are cut, then searched."""
    maskers.without_caches(monkeypatch)
    sizes = (4_000, 40_000, 400_000)
    best = dict.fromkeys(sizes, float("inf"))
    for _ in range(growth.TRIES):
        for size in sizes:
            requests = [masking.sent(kind, size, "all") for kind in masking.KINDS]
            took = sum(growth.seconds(masking.masked, each, 3) for each in requests)
            best[size] = min(best[size], took)
        if max(best.values()) < 2 * best[4_000]:
            break
    assert max(best.values()) < 3 * best[4_000], best
