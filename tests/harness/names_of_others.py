"""Finds undocumented names of libraries that the source uses, and reads the table of them.

The table is in docs/names-of-others.md. Each rule here walks the syntax trees of the source;
``tests/unit/test_names_of_others.py`` compares its result with the table.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import django
import pytest
from gunicorn.config import KNOWN_SETTINGS

from slowhound.runtime.library_names import find
from tests.harness.launch import ROOT

SOURCE = ROOT / "src" / "slowhound"
PAGE = ROOT / "docs" / "names-of-others.md"
ROW = re.compile(r"^\| `([\w.:]+)` \| (.+?) \| (.+?) \|(?: (.+?) \|)?$", re.MULTILINE)
FULL = re.compile(r"[a-z_]\w*(\.\w+)+(:[\w.]+)?")
PRIVATE = re.compile(r"_[A-Za-z]\w*")
PUBLIC_WORD = re.compile(r"(?=.*[a-z])[A-Za-z]\w*")
LIBRARIES = {
    *("asgiref", "celery", "concurrent", "django", "duckdb", "gevent", "greenlet", "gunicorn"),
    *("anyio", "httpx", "jinja2", "msgspec", "opentelemetry", "sentry_sdk", "urllib3"),
}
# The functions of library_names.py that take a full name.
TAKE_NAMES = {"find", "missing", "caught", "find_imported", "patch"}
# Names of named tuples and of os that are public in spite of their underscores.
PUBLIC = {"_asdict", "_replace", "_fields", "_exit"}
GETTERS = {
    *("getattr", "hasattr", "setattr", "delattr", "attribute", "attribute_or", "in_classes"),
    "text_attribute",
}
SETTINGS = {setting.name for setting in KNOWN_SETTINGS}
# A file with one of these reads frames of libraries, with names of functions and of variables.
FRAMES = {"co_name", "co_qualname", "f_locals", "function_variables", "qualname_of"}


class Row(NamedTuple):
    """One name of a table; ``files`` are below src/slowhound."""

    name: str
    files: tuple[str, ...]
    purpose: str
    without: str

    @property
    def word(self) -> str:
        """The part of the name that is in the source: the last."""
        return self.name.rpartition(":" if ":" in self.name else ".")[2]


def skip_what_came_later(row: Row) -> None:
    """Skips the test where the installed Python, or Django, is older than the name."""
    for library, version in (("", sys.version_info), ("Django ", django.VERSION)):
        since = re.match(rf"from {library}(\d+)\.(\d+) on", row.purpose)
        if since is not None and version[:2] < tuple(map(int, since.groups())):
            pytest.skip(f"it came {row.purpose.partition(':')[0]}")


@cache
def rows(section: str) -> tuple[Row, ...]:
    """The rows of a section of the page."""
    text = PAGE.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return tuple(
        Row(name, tuple(re.findall(r"`([^`]+)`", files)), purpose, without)
        for name, files, purpose, without in ROW.findall(text)
    )


@cache
def trees() -> dict[str, ast.Module]:
    """The syntax trees of the whole source, by file."""
    files = sorted(SOURCE.rglob("*.py"))
    return {str(path.relative_to(SOURCE)): ast.parse(path.read_text()) for path in files}


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes of a file; cached, for walking takes as long as all the rules together."""
    return tuple(ast.walk(tree))


def _is_others(module: str) -> bool:
    top = module.partition(".")[0]
    return top not in sys.stdlib_module_names and top != "slowhound"


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _called(node: ast.Call) -> str:
    return _word(node.func)


def _root(node: ast.AST) -> str:
    """The variable at the beginning of a chain of attributes and calls."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def imported(tree: ast.Module, *, ours: bool = False) -> dict[str, str]:
    """The names that a file imports from libraries, or from slowhound, with their full names."""
    found: dict[str, str] = {}
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            names = [(each.asname or each.name.partition(".")[0], each.name) for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = node.module or ""
            names = [(each.asname or each.name, f"{home}.{each.name}") for each in node.names]
        else:
            continue
        wanted = (each for each in names if _is_others(each[1]) is not ours)
        found.update(each for each in wanted if not ours or each[1].startswith("slowhound"))
    return found


def full_names(tree: ast.Module) -> set[str]:
    """The full names of libraries in a file that gives full names to ``library_names``."""
    words = {_word(node) for node in nodes(tree)}
    if not words & TAKE_NAMES:
        return set()
    return {each for each in words if FULL.fullmatch(each) and each.partition(".")[0] in LIBRARIES}


def caught_directly(tree: ast.Module) -> Iterator[str]:
    """Classes of libraries in ``except`` or ``suppress``; these should come from ``caught``."""
    theirs = {**imported(tree), "duckdb": "duckdb"}  # duckdb is also the name of a parameter
    for node in nodes(tree):
        named: list[ast.expr] = []
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            named = [node.type]
        elif isinstance(node, ast.Call) and _called(node) == "suppress":
            named = node.args
        for part in (part for each in named for part in ast.walk(each)):
            text = ast.unparse(part).replace("self._duckdb", "duckdb")
            root, dot, rest = text.partition(".")
            if isinstance(part, ast.Attribute) and rest and root in theirs:
                yield f"{theirs[root]}{dot}{rest}"
            elif isinstance(part, ast.Name) and "." in theirs.get(root, ""):
                yield theirs[root]


def _own(tree: ast.Module) -> set[str]:
    """The names that the file defines: functions, variables, attributes of its own objects."""
    found = set()
    for node in nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.arg):
            found.add(node.arg if isinstance(node, ast.arg) else node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {node.attr} if _root(node.value) in ("self", "cls") else set()
    annotated = (node for node in nodes(tree) if isinstance(node, ast.AnnAssign))
    return found - {_word(each.target) for each in annotated if each.value is None}


def _word(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else _text(node)


def private(tree: ast.Module) -> set[str]:
    """Names with a leading underscore, as attributes or in texts, that the file does not define."""
    ours = imported(tree, ours=True)
    found = set()
    # Parts of f-strings: "_time" of f"{name}_time".
    texts = [node for node in nodes(tree) if isinstance(node, ast.JoinedStr)]
    formatted = {part for text in texts for part in text.values}
    for node in nodes(tree):
        if node in formatted:
            continue
        if isinstance(node, ast.ImportFrom):
            if not (node.module or "").startswith("slowhound"):
                found |= {each.name for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {part for each in node.names for part in each.name.split(".")}
        elif isinstance(node, ast.Constant) or (
            isinstance(node, ast.Attribute) and _root(node.value) not in ours
        ):
            found |= set(re.split(r"[.:]", _word(node)))
    found |= _overridden(tree)
    own = _own(tree) - _overridden(tree)
    modules = sys.stdlib_module_names - {"_remote_debugging"}  # this module is used itself
    return {each for each in found - own - PUBLIC - modules if PRIVATE.fullmatch(each)}


def _overridden(tree: ast.Module) -> set[str]:
    """Private methods that a class overrides: the library calls them."""
    theirs = imported(tree)
    found = set()
    for each in (node for node in nodes(tree) if isinstance(node, ast.ClassDef)):
        bases = [find(theirs[_root(base)]) for base in each.bases if _root(base) in theirs]
        names = {part.name for part in each.body if isinstance(part, ast.FunctionDef)}
        found |= {name for name in names if any(hasattr(base, name) for base in bases)}
    return {name for name in found if PRIVATE.fullmatch(name)}


def read_by_name(tree: ast.Module) -> set[str]:
    """Attributes that are read by name, except those of Python's own modules."""
    found = set()
    for node in nodes(tree):
        is_read = isinstance(node, ast.Call) and _called(node) in GETTERS and len(node.args) > 1
        if is_read and _root(node.args[0]) not in sys.stdlib_module_names:
            found.add(_text(node.args[1]))
    return found - {""}


def of_frames(tree: ast.Module) -> set[str]:
    """Texts that are compared, used as keys or passed on, in a file that reads frames.

    They may be the names of functions and variables of a library.
    """
    if not FRAMES & {_word(node) for node in nodes(tree)}:
        return set()
    functions = {node.name for node in nodes(tree) if isinstance(node, ast.FunctionDef)}
    found: list[ast.AST | None] = [each.value for each in tree.body if isinstance(each, ast.Assign)]
    for node in nodes(tree):
        if isinstance(node, ast.Compare):
            found += [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and _called(node) in functions | {"get"}:
            found += node.args
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            found.append(node.slice)
    texts = {_text(part) for node in found if node for part in ast.walk(node)} - full_names(tree)
    parts = {part for text in texts for part in text.split(".")}
    return {each for each in parts if PUBLIC_WORD.fullmatch(each) or PRIVATE.fullmatch(each)}


def of_gunicorn(tree: ast.Module) -> set[str]:
    """Attributes of Gunicorn's objects, which have no type: those of parameters that are Any."""
    arguments = [node for node in nodes(tree) if isinstance(node, ast.arg)]
    given = {each.arg for each in arguments if ast.unparse(each.annotation or each) == "Any"}
    for node in nodes(tree):  # what is read from such an object is another one
        if isinstance(node, ast.Assign) and _is_read_from(node.value, given):
            given |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    read = [node for node in nodes(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in read if _root(node) in given} - SETTINGS


def _is_read_from(node: ast.AST, given: set[str]) -> bool:
    """``given.name`` or ``getattr(given, ...)``."""
    if isinstance(node, ast.Call):
        return _root(node) in given or (_called(node) == "getattr" and _root(node.args[0]) in given)
    return isinstance(node, ast.Attribute) and _root(node) in given


def patched(tree: ast.Module) -> set[str]:
    """Attributes that the file sets on classes and modules of libraries."""
    theirs = imported(tree)
    read = [node for node in nodes(tree) if isinstance(node, ast.Attribute)]
    stored = [node for node in read if isinstance(node.ctx, ast.Store | ast.Del)]
    return {node.attr for node in stored if ast.unparse(node.value) in theirs}


RULES: dict[str, Callable[[ast.Module], set[str]]] = {
    "private": private,
    "read by name": read_by_name,
    "of frames": of_frames,
    "patched": patched,
}


@cache
def uses() -> tuple[tuple[str, str, str], ...]:
    """File, word and rule of each name that may be a library's."""
    return tuple(_uses())


def _uses() -> Iterator[tuple[str, str, str]]:
    for file, tree in trees().items():
        for rule, words_of in RULES.items():
            yield from ((file, word, rule) for word in sorted(words_of(tree)))
        if file.startswith("gunicorn/"):
            yield from ((file, word, "of Gunicorn") for word in sorted(of_gunicorn(tree)))


@cache
def words(file: str) -> set[str]:
    """All names and texts in a file."""
    found = set()
    for node in ast.walk(trees()[file]):
        word = _word(node)
        found |= {word, *re.split(r"[.:]", word)}
    return found
