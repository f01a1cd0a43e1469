"""Compiles a parsed regular expression into a program: a list of steps with their arguments."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.harness import regex_nodes
from tests.harness.regex_nodes import REPEATS, SINGLE, Firsts, Node, kind_of

Code = list[tuple[Any, ...]]


def program(tree: regex_nodes.Parsed) -> Code:
    """The program of a whole pattern."""
    return _Compiler().part(tree.nodes, tree.flags)


class _Compiler:
    """Compiles sequences; a group that is repeated n times is in the program n times."""

    def __init__(self) -> None:
        self._marks = 0

    def part(self, nodes: Any, flags: int) -> Code:
        code: Code = []
        self._sequence(nodes, flags, code)
        code.append(("success",))
        return code

    def _sequence(self, nodes: Any, flags: int, code: Code) -> None:
        for node in nodes:
            kind = kind_of(node)
            if kind in SINGLE:
                code.append(("set", regex_nodes.single(node, flags)))
            elif kind in REPEATS:
                self._repeat(node, flags, code)
            else:
                getattr(self, f"_{kind.lower()}")(node, flags, code)

    def _at(self, node: Node, flags: int, code: Code) -> None:
        code.append(("at", _anchor(str(node[1]), flags)))

    def _subpattern(self, node: Node, flags: int, code: Code) -> None:
        group, _, _, inner = node[1]
        if group is not None:
            code.append(("begin", group))
        self._sequence(inner, regex_nodes.scoped(flags, node), code)
        if group is not None:
            code.append(("end", group))

    def _branch(self, node: Node, flags: int, code: Code) -> None:
        leave = []
        branches = node[1][1]
        for number, branch in enumerate(branches):
            last = number == len(branches) - 1
            split = len(code)
            if not last:
                code.append(())
            self._sequence(branch, flags, code)
            if not last:
                leave.append(len(code))
                code.append(())
                code[split] = ("split", split + 1, len(code), only(branch, flags))
        for each in leave:
            code[each] = ("jump", len(code))

    def _repeat(self, node: Node, flags: int, code: Code) -> None:
        least, most, item = node[1]
        kind, most = kind_of(node), None if most == regex_nodes.limitless() else int(most)
        if regex_nodes.is_single(item):
            found = regex_nodes.single(item[0], flags)
            code.append(("run", found, int(least), most, kind))
        elif kind == "POSSESSIVE_REPEAT":
            inner: Code = []
            self._group(node, flags, inner, is_greedy=True)
            code.append(("alone", [*inner, ("success",)]))
        else:
            self._group(node, flags, code, is_greedy=kind == "MAX_REPEAT")

    def _group(self, node: Node, flags: int, code: Code, *, is_greedy: bool) -> None:
        least, most, item = node[1]
        for _ in range(least):
            self._sequence(item, flags, code)
        is_open = most == regex_nodes.limitless()
        splits: list[int] = []
        moved: list[int] = []
        for _ in range(1 if is_open else most - least):
            splits.append(len(code))
            self._marks += 1
            code += [(), ("mark", self._marks)]
            self._sequence(item, flags, code)
            moved.append(len(code))
            code.append(())
        if is_open:
            code.append(("jump", splits[0]))
        for each in moved:  # after an empty repetition there is no other
            code[each] = ("moved", code[splits[moved.index(each)] + 1][1], len(code))
        for each in splits:
            ways = (each + 1, len(code)) if is_greedy else (len(code), each + 1)
            code[each] = ("split", *ways, only(item, flags) if is_greedy else None)

    def _assert(self, node: Node, flags: int, code: Code, wanted: bool = True) -> None:
        direction, inner = node[1]
        behind = inner.getwidth()[0] if direction < 0 else 0
        code.append(("lookaround", self.part(inner, flags), behind, wanted))

    def _assert_not(self, node: Node, flags: int, code: Code) -> None:
        self._assert(node, flags, code, wanted=False)

    def _failure(self, node: Node, flags: int, code: Code) -> None:
        code.append(("fail",))

    def _atomic_group(self, node: Node, flags: int, code: Code) -> None:
        code.append(("alone", self.part(node[1], flags)))

    def _groupref(self, node: Node, flags: int, code: Code) -> None:
        code.append(("backreference", node[1], bool(flags & re.IGNORECASE)))

    def _groupref_exists(self, node: Node, flags: int, code: Code) -> None:
        group, yes, no = node[1]
        test = len(code)
        code.append(())
        self._sequence(yes, flags, code)
        leave = len(code)
        code.append(())
        code[test] = ("has", group, len(code))
        self._sequence(no or (), flags, code)
        code[leave] = ("jump", len(code))


def only(nodes: Any, flags: int) -> Firsts | None:
    """The characters that it must begin with; None where it may be empty."""
    found = regex_nodes.firsts(nodes, flags)
    return None if found.empty else found


def _anchor(name: str, flags: int) -> Callable[[str, int], bool]:
    many = bool(flags & re.MULTILINE)
    if name in ("AT_BOUNDARY", "AT_NON_BOUNDARY"):
        wanted, plain = name == "AT_BOUNDARY", bool(flags & re.ASCII)
        return lambda text, at: _is_boundary(text, at, plain=plain) is wanted
    if name == "AT_BEGINNING_STRING" or (name == "AT_BEGINNING" and not many):
        return lambda text, at: at == 0
    if name == "AT_BEGINNING":
        return lambda text, at: at == 0 or text[at - 1] == "\n"
    if name == "AT_END_STRING":
        return lambda text, at: at == len(text)
    if many:
        return lambda text, at: at == len(text) or text[at] == "\n"
    return lambda text, at: text[at:] in ("", "\n") if at >= len(text) - 1 else False


def _is_boundary(text: str, at: int, *, plain: bool) -> bool:
    sides = [text[place] if 0 <= place < len(text) else " " for place in (at - 1, at)]
    before, after = (
        (each.isalnum() or each == "_") and (each.isascii() or not plain) for each in sides
    )
    return before is not after
