"""What the package promises to its users, and how its modules may import each other."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import slowhound
from slowhound.event.fields import FIELDS
from tests.harness.docs import make_docs
from tests.harness.launch import ROOT

PACKAGE = Path(slowhound.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
PUBLIC = {"Context", "Record", "current", "on_error", "register_instrumenter", "task"}
# What users import; each other module is in a folder.
TOP = {
    *("__init__", "__main__", "apps", "asgi", "background", "celery", "context", "logging"),
    *("middleware", "testing"),
}


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout


def test_public_names_are_these() -> None:
    """Each more name is a promise."""
    assert set(slowhound.__all__) - {"__version__"} == PUBLIC


def test_only_what_users_import_lies_beside_the_folders() -> None:
    """The map in the package's docstring names each of these files, but for the two of Python's."""
    found = {path.stem for path in PACKAGE.glob("*.py")}
    assert found - TOP == set()
    named = make_docs().package_map()[make_docs().TOP].split()
    assert sorted(named) == sorted(found - {"__init__", "__main__"})


def test_map_has_each_folder_once() -> None:
    """The docstring of the package, which the tables in the docs are made from."""
    found = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    assert found == sorted(folders())


def contract_of(kind: str) -> dict[str, Any]:
    """The linter's contract of this type."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (found,) = [each for each in contracts if each["type"] == kind]
    return dict(found)


def folders() -> list[str]:
    """The folders of the map, from the top down."""
    return [each for each in make_docs().package_map() if each != make_docs().TOP]


def test_layers_of_the_linter_are_the_folders_of_the_map() -> None:
    """The order is the same: `make check` holds the imports to the map."""
    contract = contract_of("layers")
    assert contract["exhaustive"]
    assert [each for each in contract["layers"] if each not in TOP] == folders()
    top = set(contract["layers"]) & TOP
    assert top == {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}


def test_no_folder_from_the_stacks_down_may_import_a_framework() -> None:
    """The linter's contract names each of them."""
    lower = folders()[folders().index("stacks") :]
    modules = [f"slowhound.{folder}" for folder in lower]
    assert contract_of("forbidden")["source_modules"] == modules


def imports_of(path: Path) -> Iterator[str]:
    """The modules of slowhound that a file imports, wherever in it, also for the type checker."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{each.name}" for each in node.names)


def test_no_modules_import_each_other() -> None:
    """No circle of any length, and none for the type checker either."""
    modules = {}
    for path in SOURCES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        modules[".".join(part for part in parts if part != "__init__")] = path
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        found = {name if name in modules else name.rpartition(".")[0] for name in imports_of(path)}
        graph[module] = (found & set(modules)) - {module}
    assert "slowhound.core.record" in graph["slowhound.recorder.recorder"]
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names it


def test_arbiter_never_loads_django() -> None:
    """Gunicorn's arbiter imports slowhound.gunicorn and stays without Django."""
    code = (
        "import sys, slowhound.gunicorn; print(sorted(m for m in sys.modules if m[:6] == 'django'))"
    )
    assert run(code).strip() == "[]"


def test_no_module_needs_settings_to_be_imported() -> None:
    """Django has none yet where a server, or a settings module, imports slowhound."""
    code = """
import pkgutil, slowhound
for each in pkgutil.walk_packages(slowhound.__path__, "slowhound."):
    if not each.name.endswith("__main__"):
        __import__(each.name)
from django.conf import settings
print(settings.configured)
"""
    assert run(code).strip() == "False"


# What sends a signal, or has one sent or handled, in the words of Python and of the C library; but
# for the SIGKILL that ends a helper process of ours.
SIGNALLING = re.compile(
    r"faulthandler\.(?:register|dump_traceback)|timer_create|timer_settime|setitimer|\balarm\("
    r"|tgkill|pthread_kill|raise_signal|os\.kill\((?!pid, signal\.SIGKILL\))|sigqueue|SIGRT"
)


def test_no_signal_is_sent_and_no_timer_armed() -> None:
    """A dump by signal that interrupts running bytecode crashes CPython 3.11 to 3.13."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text("utf-8").splitlines()
        if SIGNALLING.search(line)
    ]
    assert found == []


# A script in a process of its own, where nothing of ours can be imported.
ALONE = "external_process.py"
# None of these tells the time of day, or how much of it has passed.
NO_READINGS = {"sleep", "struct_time", "clock_gettime"}
READS_NOW = {"now", "utcnow", "today", "formatdate", "make_msgid", "uuid1"}


def readings(source: str) -> list[str]:
    """Reads of a clock by a name that others can replace."""
    found, modules = [], set()
    nodes = list(ast.walk(ast.parse(source)))
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {each.asname or each.name for each in node.names if each.name == "time"}
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [each.name for each in node.names if each.name not in NO_READINGS]
        elif isinstance(node, ast.ImportFrom):
            found += [each.name for each in node.names if each.name in READS_NOW]
    for node in nodes:
        if isinstance(node, ast.Attribute):
            of_time = isinstance(node.value, ast.Name) and node.value.id in modules
            if of_time and node.attr not in NO_READINGS:
                found.append(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += [node.func.attr] if node.func.attr in READS_NOW else []
    return found


def test_clocks_are_read_as_they_were_at_import() -> None:
    """Libraries that freeze time replace them by clocks that may move when they are read."""
    seen = "import time as t\nfrom time import gmtime\nt.strftime('', t.gmtime())\nd.now()\n"
    assert sorted(readings(seen)) == ["gmtime", "gmtime", "now", "strftime"]
    found = {path.name: readings(path.read_text("utf-8")) for path in SOURCES}
    names = {name for name, names in found.items() if names}
    assert names == {"clocks.py", ALONE}


def test_no_group_of_a_pattern_is_possessive() -> None:
    """Before Python 3.11.5 such a group matches wrongly, and a secret would stay."""
    possessive = re.compile(r"\)(?:[*+?]|\{\d*,?\d*\})\+|\(\?>")
    found = [path.name for path in SOURCES if possessive.search(path.read_text("utf-8"))]
    assert found == []


# What reads lines of source, or hands on those that somebody has read.
READS_SOURCE = re.compile(
    r"\blinecache\b|\btokenize\b|getsource|findsource|get_source|getlines|getline\b"
    r"|traceback\.(?:format|print|extract|Traceback)|StackSummary\.|FrameSummary|exc_info=(?!None)"
)


def test_lines_of_source_are_read_in_one_place() -> None:
    """It masks them, and knows what they continue."""
    found = {
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text("utf-8").splitlines()
        if READS_SOURCE.search(line) and "``" not in line and path.name != "source_lines.py"
    }
    assert found == set()
    imported = {
        each.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "slowhound.frames.source_lines"
        for each in node.names
    }
    assert imported == {"source_line", "source_lines", "source_part"}


def test_importing_starts_nothing() -> None:
    """A management command or a Celery worker that imports the settings gets no thread."""
    code = (
        "import threading, slowhound, slowhound.gunicorn\n"
        "from django.conf import settings; settings.configure(INSTALLED_APPS=['slowhound'])\n"
        "import django; django.setup()\n"
        "import slowhound.middleware\n"
        "print([thread.name for thread in threading.enumerate()])"
    )
    assert run(code).strip() == "['MainThread']"


def test_field_names_are_unique_and_typed() -> None:
    """Docs and stores are generated from the table."""
    names = [field.name for field in FIELDS]
    assert len(names) == len(set(names))
    assert names[0] == "event_type"
    assert {field.type for field in FIELDS} <= {"str", "int", "float", "bool", "list", "dict"}
    assert all(field.meaning for field in FIELDS)
