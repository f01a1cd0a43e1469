"""Reads the parsed tree of a regular expression: sets of characters, parts, limits of repeats.

``re._parser`` is private. What is used of it has been the same from Python 3.11 to 3.15; where it
is missing, ``PARSER`` is false and the tests that need it are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

try:
    from re import _compiler, _constants, _parser
except ImportError:  # some later Python may have other modules inside
    PARSER = False
else:
    PARSER = True

# A character of each kind that patterns distinguish, in the order in which a set is shown.
ALPHABET = (
    "aeZF09_-. \n\t'\"\\/:=;,([{<>}])&?@$%#*+~!|^`\r\0\x85é中Ⅷ٣ß"
    "bcdfghijklmnopqrstuvwxyzABCDEGHIJKLMNOPQRSTUVWXY12345678"
)
SINGLE = ("LITERAL", "NOT_LITERAL", "ANY", "IN")
REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
# A repeat with a higher limit counts as unbounded: a match can begin at each of 200 characters.
UNBOUNDED = 200

Node = tuple[Any, Any]


class Parsed(NamedTuple):
    """A parsed pattern; bytes are decoded as latin-1."""

    nodes: Any
    flags: int
    groups: dict[str, int]


def parsed(text: str, flags: int) -> Parsed:
    """The tree that ``re`` makes before it compiles a pattern."""
    tree = _parser.parse(text, flags & ~re.DEBUG)
    return Parsed(tree, tree.state.flags, dict(tree.state.groupdict))


def kind_of(node: Node) -> str:
    return str(node[0])


def scoped(flags: int, node: Node) -> int:
    """The flags inside a group, which may change them: ``(?i:...)``."""
    _, more, less, _ = node[1]
    return (flags | more) & ~less


def single(node: Node, flags: int) -> Set:
    """The set of characters that a node of a kind in ``SINGLE`` matches."""
    key = repr(node), flags
    found = _sets.get(key)
    if found is None:
        found = _sets[key] = Set(node, flags)
    return found


class Set(dict[str, bool]):
    """A set of characters: whether each is in it; ``re`` itself tries each, once."""

    def __init__(self, node: Node, flags: int) -> None:
        super().__init__()
        state = _parser.State()
        state.flags = flags
        self._try = _compiler.compile(_parser.SubPattern(state, [node]), flags).fullmatch
        self.sample = "".join(each for each in ALPHABET if self[each])
        if not self.sample and kind_of(node) == "LITERAL":
            self.sample = chr(node[1])

    def __missing__(self, character: str) -> bool:
        found = self[character] = self._try(character) is not None
        return found


_sets: dict[tuple[str, int], Set] = {}


_PARTS: dict[str, Callable[[Any], list[Any]]] = {
    "BRANCH": lambda value: list(value[1]),
    "SUBPATTERN": lambda value: [value[3]],
    "ASSERT": lambda value: [value[1]],
    "ASSERT_NOT": lambda value: [value[1]],
    "ATOMIC_GROUP": lambda value: [value],
    "GROUPREF_EXISTS": lambda value: [each for each in value[1:] if each is not None],
    **dict.fromkeys(REPEATS, lambda value: [value[2]]),
}


def parts_of(node: Node) -> list[Any]:
    """The direct parts of a node: the branches, the item of a repeat, and so on."""
    parts = _PARTS.get(kind_of(node))
    return [] if parts is None else parts(node[1])


def walk(nodes: Any) -> Iterator[Node]:
    """All nodes, with the nested ones."""
    for node in nodes:
        yield node
        for part in parts_of(node):
            yield from walk(part)


def limits(node: Node) -> tuple[int, int | None]:
    """The least and the most times of a repeat; None where it counts as unbounded."""
    least, most = int(node[1][0]), node[1][1]
    return least, None if most is _constants.MAXREPEAT or most > UNBOUNDED else int(most)


def is_single(nodes: Any) -> bool:
    return len(nodes) == 1 and kind_of(nodes[0]) in SINGLE


def limitless() -> Any:
    """``re``'s mark of an unbounded repeat."""
    return _constants.MAXREPEAT


class Firsts(dict[str, bool]):
    """The characters that something can begin with; ``empty``: it can match the empty text."""

    def __init__(self, sets: list[Set], empty: bool) -> None:
        super().__init__()
        self.sets, self.empty = sets, empty

    def __missing__(self, character: str) -> bool:
        found = self[character] = any(each[character] for each in self.sets)
        return found

    @property
    def sample(self) -> set[str]:
        return {each for found in self.sets for each in found.sample}


def firsts(nodes: Any, flags: int) -> Firsts:
    """What a sequence can begin with; lookarounds are skipped."""
    sets: list[Set] = []
    for node in nodes:
        found = _firsts(node, flags)
        sets += found.sets
        if not found.empty:
            return Firsts(sets, empty=False)
    return Firsts(sets, empty=True)


def _firsts(node: Node, flags: int) -> Firsts:
    kind = kind_of(node)
    if kind in SINGLE:
        return Firsts([single(node, flags)], empty=False)
    if kind == "FAILURE":
        return Firsts([], empty=False)
    if kind in ("AT", "ASSERT", "ASSERT_NOT", "GROUPREF"):
        return Firsts([], empty=True)
    inner = scoped(flags, node) if kind == "SUBPATTERN" else flags
    parts = [firsts(part, inner) for part in parts_of(node)]
    sets = [each for part in parts for each in part.sets]
    can_be_empty = any(part.empty for part in parts)
    if kind in REPEATS:
        can_be_empty = can_be_empty or not int(node[1][0])
    if kind == "GROUPREF_EXISTS":
        can_be_empty = can_be_empty or node[1][2] is None
    return Firsts(sets, can_be_empty)
