"""The house is in order: sizes, names that mean one thing each, and plain words."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.harness.launch import ROOT
from tests.harness.names_of_others import SOURCE, nodes, trees

LINES_LIMIT, FUNCTION_LIMIT = 300, 45
# Tables, which are read row by row.
TABLES = {"redaction/name_table.py", "event/fields.py"}
# gunicorn-django-canonical-logs has a class of this name, which applications import.
ALSO_OTHERS = {"EventContext"}
# What each page, or each group of questions, has; and variables of types.
INTERFACES = {"PAGE", "SORTS", "QUESTIONS", "T", "C"}
# A constant of one of these names does not say of what it is one.
VAGUE = {
    *("LONGEST", "LARGEST", "MOST", "SHORTEST", "FEWEST", "LEAST", "LIMIT", "MAXIMUM", "MINIMUM"),
    *("PATIENCE", "TRIES", "KEPT", "LATE", "DEPTH", "SHORT", "GRACE", "EVERY", "AGE"),
}
# Words that have a plain one: see the pairs. Not in CHANGELOG.md, which is history.
WORDS = {
    r"graves?|bur(?:y|ies|ied|ial)|the dead": "reaper, reap, ended processes",
    # Not the one in an error of a database.
    r"(?<!\\. )look(?:s|ed|ing)?": "sample (of a stack), check (of a state), read, search",
    # In quotes, or as a field of Report: what is stored in files keeps its name.
    r"(?<!\")(?<!\.)blind(?:ness)?(?![\":=])": "unsampled",
    r"puts? (?:\w+ ){0,4}down to": "attributed to",
    # In quotes: a key of the page's JSON.
    r"(?<!\")(?<!answer\.)notes(?!\")": "payloads (of a box), remarks",
    # In quotes: the former name of the command.
    r"(?<![\"`(])neighbours?(?![\"`)])": "peer; the command is `sidecar`",
    r"upkeep|chores?": "housekeeping, tasks",
    # Not the one of Django's test mails.
    r"inbox|(?<!mail\.)outbox|outlets?|hygiene": "queue, sender, back-off, rate limit",
    r"splic(?:e|es|ed|ing)": "merge",
    r"findings": "diagnostics",
    r"for nothing": "automatically, without need",
    r"how true": "accuracy",
    r"for want of": "out of, without",
    r"anew": "again",
    r"in vain": "without success",
    r"lets? go of|letting go of": "releases",
    r"kin": "similar",
    r"shall not": "must not",
    r"be it (?:none|an?)": "may be",
}
PLACES = ("src", "tests", "docs", "bench", "scripts", "example")
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "pyproject.toml")
KINDS = {".py", ".md", ".html", ".js", ".css", ".sh", ".toml", ".txt"}


@cache
def lines() -> list[tuple[str, str]]:
    """Each line that is written here, with its place."""
    return [
        (f"{path.relative_to(ROOT)}:{number}", line.strip())
        for path in texts()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
    ]


def texts() -> Iterator[Path]:
    """All files that are written here, by hand and in words."""
    for name in PLACES:
        for path in sorted((ROOT / name).rglob("*")):
            vendored = {"speedscope", "uplot"} & {*path.parts}
            if path.suffix in KINDS and path.is_file() and not vendored:
                yield path
    yield from (ROOT / name for name in PAGES)


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each function, and its lines without the docstring."""
    for node in nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                length -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            yield node.name, length


def test_no_file_and_no_function_is_long() -> None:
    """What does not fit on a few screens does several things."""
    for name, tree in trees().items():
        length = (SOURCE / name).read_text("utf-8").count("\n")
        assert name in TABLES or length <= LINES_LIMIT, name
        assert [each for each in functions(tree) if each[1] > FUNCTION_LIMIT] == [], name


def test_no_two_classes_have_one_name() -> None:
    """Whoever reads the name of a class knows which one it is."""
    found = defaultdict(list)
    for name, tree in trees().items():
        for node in nodes(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name)
    twice = {name: files for name, files in found.items() if len(files) > 1}
    assert {name: twice[name] for name in twice if name not in ALSO_OTHERS} == {}


def constants() -> Iterator[tuple[str, str]]:
    """Each public constant of a module, with the file; not one that is another module's."""
    for name, tree in trees().items():
        for node in tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [] if isinstance(node.value, ast.Attribute) else targets
            for each in (each for target in names for each in ast.walk(target)):
                if isinstance(each, ast.Name) and each.id.isupper() and each.id[0] != "_":
                    yield each.id, name


def test_constants_say_of_what_they_are() -> None:
    """``MOST`` stood in thirteen modules, and meant thirteen things."""
    found = defaultdict(set)
    for name, file in constants():
        found[name].add(file)
    assert {name: found[name] for name in found if name in VAGUE} == {}
    twice = {name: files for name, files in found.items() if len(files) > 1}
    assert {name: twice[name] for name in twice if name not in INTERFACES} == {}


@pytest.mark.parametrize("word", WORDS)
def test_words_are_plain(word: str) -> None:
    """Each of these was a dialect of the project's own."""
    pattern = re.compile(rf"(?<![^\W_])(?:{word})(?![^\W_])", re.IGNORECASE)
    found = [f"{place}: {line[:120]}" for place, line in lines() if pattern.search(line)]
    assert found == [], WORDS[word]
