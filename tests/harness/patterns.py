"""Lists every regular expression of slowhound, and how each one is used.

A program: it imports all of slowhound, which the process of the tests must not do, and prints a
JSON list.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "slowhound"
DEPTH = 4
# Reading a pattern's text, flags or groups does not search with it.
_ONLY_READ = {"pattern", "flags", "groupindex", "groups"}
_ANCHORED = {"match", "fullmatch"}


class Pattern(NamedTuple):
    """A pattern; ``way`` is ``match`` or ``fullmatch`` if it is only used so, else ``search``."""

    module: str
    name: str
    text: str
    flags: int
    way: str

    def __str__(self) -> str:
        return f"{self.module.removeprefix('slowhound.')}.{self.name}"


def all_patterns() -> list[Pattern]:
    """The patterns of all modules, found by another process."""
    argv = [sys.executable, "-m", "tests.harness.patterns"]
    output = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=120).stdout
    return [Pattern(*each) for each in json.loads(output)]


def found_in(value: Any, name: str, depth: int = DEPTH) -> Iterator[tuple[str, Any]]:
    """The compiled patterns in a value, also within containers and slowhound's objects."""
    if isinstance(value, re.Pattern):
        yield name, value
    elif depth <= 0:
        return
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from found_in(key, f"{name}[key]", depth - 1)
            yield from found_in(each, f"{name}[{key!r}]", depth - 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for number, each in enumerate(value):
            yield from found_in(each, f"{name}[{number}]", depth - 1)
    elif type(value).__module__.startswith("slowhound") and hasattr(value, "__dict__"):
        for field, each in vars(value).items():
            yield from found_in(each, f"{name}.{field}", depth - 1)


class Sources:
    """The parsed modules of slowhound, by name."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.trees = {name: ast.parse(text) for name, text in texts.items()}
        # By module: the names that it imports, with their origins.
        self.imports: dict[str, dict[str, tuple[str, str]]] = {
            name: {
                each.asname or each.name: (node.module or "", each.name)
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                for each in node.names
            }
            for name, tree in self.trees.items()
        }

        self.uses = {name: _uses(tree) for name, tree in self.trees.items()}

    def way_of(self, module: str, name: str) -> str:
        """``match`` or ``fullmatch`` if no other method of it is ever called; else ``search``."""
        ways: set[str] = set()
        for other, uses in self.uses.items():
            imported = self.imports[other].items()
            known = {here for here, origin in imported if origin == (module, name)}
            known |= {name} if other == module else {f"{module.rpartition('.')[2]}.{name}"}
            ways.update(way for each, way in uses if each in known)
        return ways.pop() if len(ways) == 1 and ways <= _ANCHORED else "search"


def _uses(tree: ast.AST) -> list[tuple[str, str]]:
    """Names, with the method called of each: ``search`` where it is passed on to other code."""
    called, found = {}, []
    for node in ast.walk(tree):  # from the outside to the inside
        if isinstance(node, ast.Attribute):
            called[node.value] = node.attr
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            way = called.get(node, "search")
            if way not in _ONLY_READ:
                found.append((_named(node), way))
    return found


def _named(node: ast.Attribute | ast.Name) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else ""


def of_module(module: Any, sources: Sources) -> list[Pattern]:
    """The patterns of a module: those of its variables, and those within functions."""
    found, own = [], module.__name__
    for name, value in list(vars(module).items()):
        if name in sources.imports[own]:
            continue
        for where, each in found_in(value, name):
            text, flags = each.pattern, each.flags
            if isinstance(text, bytes):
                text, flags = text.decode("latin-1"), flags | re.ASCII
            found.append(Pattern(own, where, text, flags, sources.way_of(own, name)))
    return [*found, *within_functions(own, sources.trees[own])]


def within_functions(module: str, tree: ast.AST) -> list[Pattern]:
    """``re.sub("...", ...)`` and similar calls with a literal pattern."""
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        given, way = node.args[0], node.func.attr
        is_known = isinstance(given, ast.Constant) and isinstance(given.value, str)
        if is_known and way != "compile" and ast.unparse(node.func) == f"re.{way}":
            flags = re.compile(given.value).flags
            way = way if way in _ANCHORED else "search"
            found.append(Pattern(module, f"{given.value!r}", given.value, flags, way))
    return found


def main() -> None:
    from tests.harness import in_process

    in_process.configure()
    slowhound = importlib.import_module("slowhound")
    infos = pkgutil.walk_packages(slowhound.__path__, "slowhound.")
    names = ["slowhound", *(each.name for each in infos if not each.name.endswith("__main__"))]
    modules = [importlib.import_module(name) for name in names]
    texts = {each.__name__: Path(str(each.__file__)).read_text() for each in modules}
    sources = Sources(texts)
    print(json.dumps([each for module in modules for each in of_module(module, sources)]))


if __name__ == "__main__":
    main()
