"""The search for slow patterns finds those that are known to be slow, and no others."""

from __future__ import annotations

import random
import re
import types

import pytest

from tests.harness import regex_nodes

if not regex_nodes.PARSER:
    pytest.skip("this Python parses regular expressions in another way", allow_module_level=True)

from slowhound.redaction import masking
from tests.harness import growth, maskers, patterns
from tests.harness.counted_regex import Counted, TooManyStepsError
from tests.harness.patterns import Pattern, Sources
from tests.harness.regex_attacks import Attack, Parts, attacks
from tests.harness.regex_structure import ADJACENT, GROUP, NESTED, RESTART, SURE, suspicions

pytestmark = pytest.mark.slow

_SLOW = r"""
    (a+)+$  (?:a|a)*$  (?:a*)*b  (?:\w+\s?)*!  a+a+b  a*(?:b|a*)c  (?:ab)*c  (?:[a-z]+,)*
    x[\w-]+\.  eyJ[\w-]{5,}+\.  (?<![A-Za-z0-9_])eyJ[\w-]{5,}+\.  \s+$  \b[\w-]+!  \d+x
    x[a-z]{1,900}!  a*+b  #[^\n']*'  /\*.*?\*/  (?=\d*[a-f])[0-9a-f]{4,}  '(?:[^'\\]|\\.)*'
    (?i:SELECT).*FROM  (?P<q>['"]).*(?P=q)!  <a(?:\s[^>]*)?>
"""
_FAST = r"""
    a+  [a-z]++  \b\w+\b  (?<!\w)\w+!  (?<!\w)[a-z]\w*=  ^a+$  \A\s*x  x*  (?:a|b)+  x[\w-]{1,50}\.
    eyJ[\w-]*+(?:\.[\w-]*+){0,4}  '[^']*+'?  '(?:[^']++|'')*(?:'|\Z)  [0-9]{16}(?!\d)
    (?<![a-z,])(?:[a-z]+,)*  password|passwd|secret
"""
WRONG = [
    (r"(a+)+$", NESTED),
    (r"(?:x|b+|c)*d", NESTED),
    (r"(?:\w+\s?)*", NESTED),
    (r"(?:ab)++", GROUP),
    (r"(?>ab)", GROUP),
    (r"a+a+b", ADJACENT),
    (r"a*(?:b|a*)c", ADJACENT),
    (r"x[\w-]+\.", RESTART),
    (r"x[a-z]{1,300}!", RESTART),
    (r"\s+$", RESTART),
    (r"\b[\w-]+!", RESTART),
]
# Of each way that a pattern can be built: what the engine that counts has to know.
_BUILT = r"""
    (a|ab)(c|bcd)(d*)  (?:a|b)*?c  (a*)*  (?:a*?)*b  (?<!a)b+(?=c)  (?!ab)a.  (<)?a(?(1)>|b)  \Ba\b
    ^a|b$  (?m)^a+$  (?i)AB[c-e]*  a{2,4}b{0,2}?c  (?:ab){1,3}?c  (?:a|)+b  (?:)*  (?:a?b??){0,3}
    (a)|(b)\1?  (?:(a)|b)*\1  (?s).+?c  [^a]+a  (?:a(?:b|c)*){2,}  \Aab*|c\Z  (?:(?=(a))a|b)+\1
    (?>a|ab)c
"""
SLOW, FAST, BUILT = (each.split() for each in (_SLOW, _FAST, _BUILT))


def judged(text: str, way: str = "search") -> growth.Judged:
    pattern = Pattern("here", "it", text, re.compile(text).flags, way)
    found = suspicions(text, pattern.flags, way)
    made = [each for one in found for each in one.attacks]
    return growth.judged(pattern, made + attacks(Parts(text, pattern.flags)))


@pytest.mark.parametrize("text", SLOW)
def test_slow_pattern_is_found(text: str) -> None:
    """Texts made of the pattern itself find it."""
    assert judged(text).steep


@pytest.mark.parametrize("text", FAST)
def test_linear_pattern_is_not_taken_for_a_slow_one(text: str) -> None:
    """It takes a limited number of steps for each character, however many."""
    assert not judged(text).steep


def test_way_a_pattern_is_used_decides() -> None:
    """A pattern that is tried at each place is slow; one that is tried at one place is not."""
    for text in (r"\d+x", r"#[^\n']*'"):
        assert judged(text).steep
        assert not judged(text, "match").steep


@pytest.mark.parametrize(("text", "rule"), WRONG)
def test_structure_tells(text: str, rule: str) -> None:
    """The broken rule is named."""
    assert rule in {each.rule for each in suspicions(text, re.compile(text).flags)}


@pytest.mark.parametrize("text", FAST)
def test_structure_of_linear_patterns_breaks_no_rule_that_is_sure(text: str) -> None:
    """A suspicion may be wrong: its texts are counted."""
    assert not [each for each in suspicions(text, re.compile(text).flags) if each.rule in SURE]


@pytest.mark.parametrize("text", [*SLOW, *FAST, *BUILT])
def test_engine_that_counts_finds_what_re_finds(text: str) -> None:
    """It does in texts of the characters in the pattern, and in texts of others."""
    pattern, chance = re.compile(text), random.Random(text)
    counted = Counted(text, pattern.flags)
    units = Parts(text, pattern.flags).units() + list("abcd<> \n'")
    for _ in range(60):
        given = "".join(chance.choices(units, k=chance.randrange(6)))[:14]
        assert counted.spans(given) == [each.span() for each in pattern.finditer(given)], given
        for way in ("match", "fullmatch"):
            found = getattr(pattern, way)(given)
            assert counted.spans(given, way) == ([found.span()] if found else []), given


def test_engine_that_counts_gives_up_where_there_is_no_end() -> None:
    """There are twice as many steps for each additional character."""
    counted = Counted(r"(a+)+$", 0, allowed=20_000)
    with pytest.raises(TooManyStepsError):
        counted.spans("a" * 200 + "!")
    assert counted.steps < 25_000


def test_patterns_are_found_wherever_a_module_keeps_them() -> None:
    """They are within containers and objects of ours, too, and in calls."""

    class Kept:
        __module__ = "slowhound.somewhere"

        def __init__(self) -> None:
            self.pattern = re.compile("e")

    text = (
        "import re\nfrom other import F\n"
        "A = re.compile('a')\nA.fullmatch('')\n"
        "B = re.compile('b')\nB.match('')\nB.sub('', '')\n"
        "def f(x):\n    return re.sub('d', '', x) + re.fullmatch('g', x)[0]\n"
    )
    user = "from slowhound.somewhere import C as here\nhere.match('')\n"
    module = types.ModuleType("slowhound.somewhere")
    module.A, module.B, module.C = re.compile("a"), re.compile("b"), re.compile("c")
    module.F, module.MANY = (
        re.compile("f"),
        {"x": [("y", re.compile("h"))], re.compile("i"): Kept()},
    )
    sources = Sources({module.__name__: text, "slowhound.user": user})
    found = {each.text: each.way for each in patterns.of_module(module, sources)}
    assert {each for each in found if found[each] == "search"} == set("bdehi")
    assert {each for each in found if found[each] == "fullmatch"} == set("ag")
    assert {each for each in found if found[each] == "match"} == set("c")


def test_pattern_that_is_handed_on_is_searched_for() -> None:
    """Its use there is not known; a list of its matches only is."""
    text = "A = 1\nB = 2\nkeep(A)\nlist(filter(B.fullmatch, ()))\nB.pattern\n"
    sources = Sources({"m": text})
    assert (sources.way_of("m", "A"), sources.way_of("m", "B")) == ("search", "fullmatch")


def test_time_of_what_is_slow_is_told_from_that_of_what_is_not() -> None:
    """One run does both."""
    slow, fast = re.compile(r"x[\w-]+\."), re.compile(r"x[\w-]*+\.?")
    attack = Attack("x")
    assert growth.time_of(slow.findall, attack).slope > growth.STEEP_IN_TIME
    assert growth.time_of(fast.findall, attack).slope < growth.STEEP_IN_TIME


def test_all_that_masks_a_text_is_among_the_maskers() -> None:
    """Maskers are found by their types; a new one is tested without being named here."""
    known = {
        "masking.text",
        "masking.message",
        "search.mask_named",
        "values.mask_values",
        "urls.url",
    }
    known |= {"urls.query_string", "lines.source", "shape.sql_shape", "shape.sql_statement"}
    assert known <= set(maskers.maskers(10))


def test_maskers_can_be_had_without_caches_and_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So their work is measured, for any length."""
    long = "a b " * masking.TEXT_READ
    assert masking.text(long) != long
    maskers.without_caches(monkeypatch)
    maskers.without_cuts(monkeypatch)
    assert masking.text(long) == long
    assert not hasattr(masking._cached_text, "cache_info")
