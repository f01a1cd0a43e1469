"""Makes texts that a pattern may be slow on, from the pattern's own parts.

Two things are slow: a search that reads far, fails, and begins again one character later
(``x[a-z]+!`` in ``xxxxx``), and two repeats that can share a run in many ways (``a+a+b``). So a
text repeats a part of the pattern many times: what precedes a repeat, characters of its class, what
matches nearly to the end, with and without what could end it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tests.harness import regex_nodes
from tests.harness.regex_nodes import REPEATS, SINGLE, Node, kind_of, limits, single

# How many characters stand for a large class: the first ones of ``ALPHABET``, by kind.
SAMPLES = 4
SEPARATORS = (" ", "-", ".")
# In the place of the end, so that a match fails there.
WRONG = "\0"
# How often an item is written where it must be repeated a least number of times.
FEW = 7


class Attack(NamedTuple):
    """``head``, then ``unit`` over and over, then ``then`` over and over, then ``tail``."""

    unit: str
    head: str = ""
    then: str = ""
    tail: str = ""

    def text(self, size: int) -> str:
        """The text with about this many characters."""
        room = max(size - len(self.head) - len(self.tail), 0) // (2 if self.then else 1)
        runs = (each * (room // len(each)) for each in (self.unit, self.then) if each)
        return self.head + "".join(runs) + self.tail

    def __str__(self) -> str:
        parts = [f"{self.head!r} + "] if self.head else []
        parts.append(f"{self.unit!r} * n")
        parts += [f" + {self.then!r} * n"] if self.then else []
        parts += [f" + {self.tail!r}"] if self.tail else []
        return "".join(parts)


class _Repeat(NamedTuple):
    """A repeat, with an example of what precedes it and of what follows."""

    before: str
    items: list[str]
    after: str
    wrong: str = WRONG  # no such item


class Parts:
    """The parts of a pattern that texts are made of."""

    def __init__(self, text: str, flags: int) -> None:
        tree = regex_nodes.parsed(text, flags)
        self.repeats: list[_Repeat] = []
        self.examples: list[str] = []
        self.literals: list[str] = []
        self._collect(tree.nodes, tree.flags, "", "")

    def units(self) -> list[str]:
        """All parts that can be repeated, the short ones first."""
        found = [*self.literals, *self.examples]
        for before, items, after, _ in self.repeats:
            found += [before, before + items[0] * FEW, *items, before + items[0] + after]
        return sorted({each for each in found if each}, key=lambda each: (len(each), each))

    def _collect(self, nodes: Any, flags: int, before: str, after: str) -> None:
        run = ""
        for at, node in enumerate(nodes):
            kind, rest = kind_of(node), example(nodes[at + 1 :], flags) + after
            if kind == "LITERAL":
                run += chr(node[1])
            elif run:
                self.literals.append(run)
                run = ""
            inner = regex_nodes.scoped(flags, node) if kind == "SUBPATTERN" else flags
            if kind in REPEATS:
                self._repeat(node, flags, before, rest)
            # A lookaround is tried in this place, for what it needs may be what is missing.
            for part in regex_nodes.parts_of(node):
                self._collect(part, inner, before, rest)
                if kind == "BRANCH":
                    self.examples.append(before + example(part, inner) + rest)
            before += example([node], flags)
        if run:
            self.literals.append(run)
        if not after:
            self.examples.append(before)

    def _repeat(self, node: Node, flags: int, before: str, after: str) -> None:
        item, (_, most), wrong = node[1][2], limits(node), WRONG
        if most is not None and most < 10:
            return
        if regex_nodes.is_single(item):
            found = single(item[0], flags)
            items = _spread(found.sample)
            others = (each for each in regex_nodes.ALPHABET if not found[each])
            wrong = WRONG if not found[WRONG] else next(others, WRONG)
        else:
            items = [each for each in variants(item, flags) if each]
            # An escaped character may be what the whole begins with: ``\\"`` within quotes.
            items += [each[:-1] + before[:1] for each in items if before and len(each) > 1]
        if items:
            self.repeats.append(_Repeat(before, items, after, wrong))


def _spread(sample: str) -> list[str]:
    """A few characters of different kinds: alphabetic, digit, white space, then signs."""
    kinds = (str.isalpha, str.isdigit, str.isspace)
    named = [next((each for each in sample if kind(each)), "") for kind in kinds]
    signs = [each for each in sample if not (each.isalnum() or each.isspace())]
    return [each for each in [*named, *signs] if each][:SAMPLES]


def example(nodes: Any, flags: int) -> str:
    """A short text that the nodes match, or nearly match: lookarounds are left out."""
    return "".join(_example(node, flags) for node in nodes)


def _example(node: Node, flags: int) -> str:
    kind = kind_of(node)
    if kind == "LITERAL":
        return chr(node[1])
    if kind in SINGLE:
        return single(node, flags).sample[:1]
    if kind in ("ASSERT", "ASSERT_NOT"):
        return ""
    inner = regex_nodes.scoped(flags, node) if kind == "SUBPATTERN" else flags
    parts = regex_nodes.parts_of(node)
    # Optional parts are left out: of what depends on a group, the branch without it is taken.
    parts = parts[-1:] if kind == "GROUPREF_EXISTS" else parts[:1]
    times = int(node[1][0]) if kind in REPEATS else 1
    return "".join(example(part, inner) for part in parts) * times


def variants(nodes: Any, flags: int) -> list[str]:
    """An example for each of the top-level branches."""
    if len(nodes) == 1 and kind_of(nodes[0]) == "SUBPATTERN":
        return variants(nodes[0][1][3], regex_nodes.scoped(flags, nodes[0]))
    found = [example(nodes, flags)]
    for at, node in enumerate(nodes):
        if kind_of(node) == "BRANCH":
            around = example(nodes[:at], flags), example(nodes[at + 1 :], flags)
            found += [example(each, flags).join(around) for each in node[1][1]]
        elif kind_of(node) in REPEATS and not int(node[1][0]):
            around = example(nodes[:at], flags), example(nodes[at + 1 :], flags)
            found.append(example(node[1][2], flags).join(around))
    return list(dict.fromkeys(found))[:SAMPLES]


def attacks(parts: Parts) -> list[Attack]:
    """All texts for a pattern."""
    made = [*_of_repeats(parts.repeats), *_of_units(parts)]
    return list(dict.fromkeys(each for each in made if each.unit))


def _of_repeats(repeats: Iterable[_Repeat]) -> Iterator[Attack]:
    for before, items, after, wrong in repeats:
        yield Attack(before, tail=wrong)
        for each in items:
            yield Attack(each, head=before, tail=wrong)
            yield Attack(before + each, tail=wrong)
            yield Attack(before + each * FEW)
            yield Attack(before, then=each)
            if not each.isalnum():
                yield Attack(each + before)
            if len(after) > 1:
                yield Attack(each, head=before, tail=after[:-1] + wrong)
                yield Attack(before + each + after[:-1])
        yield Attack(items[0], head=before)
        yield from (Attack(items[0] + each, head=before, tail=wrong) for each in items[1:])
        yield from (Attack(items[0], head=before, then=each, tail=wrong) for each in items[1:2])


def _of_units(parts: Parts) -> Iterator[Attack]:
    for each in [*parts.literals, *parts.examples]:
        yield Attack(each)
        yield Attack(each[:-1])
        yield from (Attack(each + sign) for sign in SEPARATORS)
        yield Attack(each[:-1] + SEPARATORS[0])


def mixed(units: list[str], number: int, seed: int = 1) -> list[Attack]:
    """Texts of random parts next to each other, of one pattern or of several."""
    chance, found = random.Random(seed), []
    for _ in range(number if units else 0):
        one, other, third = chance.choice(units), chance.choice(units), chance.choice(units)
        found.append(
            chance.choice(
                (
                    Attack(one + other),
                    Attack(other, head=one),
                    Attack(one, then=other),
                    Attack(one + other + third, tail=WRONG),
                    Attack(one, head=other, then=third),
                )
            )
        )
    return found
