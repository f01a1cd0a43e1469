"""Finds in the structure of a regular expression what may take more than linear time.

Two rules are sure: a pattern that breaks one is wrong. Two others only raise a suspicion, for they
compare sets of characters and not what these mean together. Each suspicion has texts that would be
slow if it were right, and counting the steps of those decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tests.harness import regex_nodes
from tests.harness.regex_attacks import Attack, example
from tests.harness.regex_nodes import REPEATS, SINGLE, Node, firsts, kind_of, limits, single

# Before Python 3.11.5 a possessive group takes wrong ways: https://github.com/python/cpython/issues/106052
GROUP = "a group is possessive"
NESTED = "an unbounded repeat contains nothing but an unbounded repeat"
ADJACENT = "two unbounded repeats can share a run between them"
RESTART = "a failed search can begin again within what an unbounded repeat has read"
SURE = (GROUP, NESTED)
WORD = re.compile(r"\w")


class Suspicion(NamedTuple):
    """A rule that a pattern breaks, or may break, and texts that would then be slow."""

    rule: str
    where: str
    attacks: tuple[Attack, ...] = ()


class _Before(NamedTuple):
    """What a repeat needs before it: characters, or a position."""

    kind: str  # "set", "behind", "not behind", "boundary", "line", "start"
    sample: frozenset[str] = frozenset()


def suspicions(text: str, flags: int, way: str = "search") -> list[Suspicion]:
    """What is wrong, or may be wrong, with a pattern."""
    tree = regex_nodes.parsed(text, flags)
    walk = _Walk(way)
    walk.sequence(tree.nodes, tree.flags, (), [], fails=way == "fullmatch")
    return list(dict.fromkeys([*_possessive_groups(tree.nodes), *walk.found]))


def _possessive_groups(nodes: Any) -> Iterator[Suspicion]:
    for node in regex_nodes.walk(nodes):
        kind = kind_of(node)
        is_group = kind == "POSSESSIVE_REPEAT" and not regex_nodes.is_single(node[1][2])
        if is_group or kind == "ATOMIC_GROUP":
            yield Suspicion(GROUP, _shown(node))


class _Walk:
    """Walks through a pattern from left to right."""

    def __init__(self, way: str) -> None:
        self._way = way
        self.found: list[Suspicion] = []

    def sequence(
        self,
        nodes: Any,
        flags: int,
        before: tuple[_Before, ...],
        open_: list[frozenset[str]],
        *,
        fails: bool,
    ) -> list[frozenset[str]]:
        """Returns which of ``open_``, repeats that the next one may share a run with, stay open."""
        for at, node in enumerate(nodes):
            rest_fails = fails or _can_fail(nodes[at + 1 :])
            kind = kind_of(node)
            inner = regex_nodes.scoped(flags, node) if kind == "SUBPATTERN" else flags
            if kind in REPEATS:
                self._repeat(node, flags, before, open_, fails=rest_fails)
            after = []
            for part in regex_nodes.parts_of(node):
                is_around = kind in ("ASSERT", "ASSERT_NOT")
                after += self.sequence(
                    part,
                    inner,
                    before,
                    [] if is_around else open_,
                    fails=rest_fails and not is_around,
                )
            open_ = self._after(node, flags, open_, after)
            before = (*before, *_needs(node, flags))
        return open_

    def _after(
        self, node: Node, flags: int, open_: list[frozenset[str]], after: list[frozenset[str]]
    ) -> list[frozenset[str]]:
        kind = kind_of(node)
        if kind in ("AT", "ASSERT", "ASSERT_NOT"):
            return open_
        if kind in SINGLE:
            return []
        if kind in REPEATS and limits(node)[1] is None and kind != "POSSESSIVE_REPEAT":
            after = [*after, _all(node[1][2], flags)]
        if kind in REPEATS and regex_nodes.is_single(node[1][2]):
            after = after if limits(node)[1] is None else []
        return [*open_, *after] if firsts([node], flags).empty else after

    def _repeat(
        self,
        node: Node,
        flags: int,
        before: tuple[_Before, ...],
        open_: list[frozenset[str]],
        *,
        fails: bool,
    ) -> None:
        kind, item = kind_of(node), node[1][2]
        if limits(node)[1] is not None:
            return
        if kind != "POSSESSIVE_REPEAT" and any(_is_one_repeat(way) for way in _ways(item)):
            self.found.append(Suspicion(NESTED, _shown(node)))
        if not fails:
            return
        sample, head = _all(item, flags), _head(before, None)
        wrong = _one(frozenset(regex_nodes.ALPHABET) - sample)
        for each in open_:
            shared = _one(each & sample)
            if shared:
                attacks = Attack(shared, head, tail=wrong), Attack(shared, head)
                self.found.append(Suspicion(ADJACENT, _shown(node), attacks))
        if self._way == "search" and _can_begin_within(before, sample):
            again, one = _head(before, sample), _one(sample)
            attacks = (
                *(Attack(again + end, tail=wrong) for end in ("", one, one * 7)),
                *(Attack(one + again + end, tail=wrong) for end in ("", one)),
                Attack(again or one, then=one, tail=wrong),
            )
            given = tuple(each for each in attacks if each.unit)
            self.found.append(Suspicion(RESTART, _shown(node), given))


def _can_begin_within(before: Iterable[_Before], sample: frozenset[str]) -> bool:
    """False where no other match can begin within what the repeat reads."""
    for kind, needed in before:
        if kind == "start" or (kind == "line" and "\n" not in sample):
            return False
        if kind == "boundary":
            words = [each for each in sample if WORD.match(each)]
            if len(words) in (0, len(sample)):
                return False
        elif kind != "line" and not (sample - needed if kind == "not behind" else sample & needed):
            return False
    return True


def _head(before: Iterable[_Before], within: frozenset[str] | None) -> str:
    """A text with what is needed, of the characters of ``within`` if that is given."""
    found = ""
    for kind, needed in before:
        if kind == "not behind" and within:
            found += _one(within - needed)
        elif kind == "boundary" and within:
            found += _one(frozenset(each for each in within if not WORD.match(each)))
        elif kind == "set":
            found += _one(needed & within if within else needed)
    return found


def _one(sample: frozenset[str]) -> str:
    return min(sample, key=regex_nodes.ALPHABET.find, default="")


def _needs(node: Node, flags: int) -> list[_Before]:
    kind = kind_of(node)
    if kind == "AT":
        places = {"AT_BOUNDARY": "boundary", "AT_BEGINNING_STRING": "start"}
        places["AT_BEGINNING"] = "line" if flags & re.MULTILINE else "start"
        place = places.get(str(node[1]))
        return [] if place is None else [_Before(place)]
    if kind in ("ASSERT", "ASSERT_NOT"):
        direction, inner = node[1]
        if direction > 0 or not regex_nodes.is_single(inner):
            return []
        sample = frozenset(single(inner[0], flags).sample)
        return [_Before("behind" if kind == "ASSERT" else "not behind", sample)]
    if kind == "SUBPATTERN" or (kind in REPEATS and int(node[1][0]) == 1):
        inner_flags = regex_nodes.scoped(flags, node) if kind == "SUBPATTERN" else flags
        (part,) = regex_nodes.parts_of(node)
        return [each for inside in part for each in _needs(inside, inner_flags)]
    found = firsts([node], flags)
    return [] if found.empty else [_Before("set", frozenset(found.sample))]


def _all(nodes: Any, flags: int) -> frozenset[str]:
    """All characters that the nodes can match, at any place."""
    found: set[str] = set()
    for node in nodes:
        if kind_of(node) in SINGLE:
            found.update(single(node, flags).sample)
        elif kind_of(node) not in ("ASSERT", "ASSERT_NOT"):
            inner = regex_nodes.scoped(flags, node) if kind_of(node) == "SUBPATTERN" else flags
            for part in regex_nodes.parts_of(node):
                found |= _all(part, inner)
    return frozenset(found)


def _can_fail(nodes: Any) -> bool:
    """True where one of the nodes may fail to match."""
    return any(_node_can_fail(node) for node in nodes)


def _node_can_fail(node: Node) -> bool:
    kind = kind_of(node)
    if kind in REPEATS:
        return int(node[1][0]) > 0 and _can_fail(node[1][2])
    if kind in ("SUBPATTERN", "BRANCH", "ATOMIC_GROUP"):
        return all(_can_fail(part) for part in regex_nodes.parts_of(node))
    return True


def _ways(item: Any) -> list[list[Node]]:
    """The sequences that an item can match: each branch is one."""
    if len(item) == 1 and kind_of(item[0]) in ("SUBPATTERN", "BRANCH"):
        return [way for part in regex_nodes.parts_of(item[0]) for way in _ways(part)]
    return [list(item)]


def _is_one_repeat(way: list[Node]) -> bool:
    """True where an unbounded repeat can be the whole match: ``a+`` and ``a+b?``."""
    for at, node in enumerate(way):
        is_open = kind_of(node) in ("MAX_REPEAT", "MIN_REPEAT") and limits(node)[1] is None
        others = [*way[:at], *way[at + 1 :]]
        if is_open and firsts(others, 0).empty and not _has_places(others):
            return True
    return False


def _has_places(nodes: Iterable[Node]) -> bool:
    return any(kind_of(node) in ("AT", "ASSERT", "ASSERT_NOT", "GROUPREF") for node in nodes)


def _shown(node: Node) -> str:
    """A part of a pattern, as an example of it."""
    least, most = limits(node) if kind_of(node) in REPEATS else (1, 1)
    item = node[1][2] if kind_of(node) in REPEATS else [node]
    return f"{example(item, 0)!r}{{{least},{'' if most is None else most}}}"
