"""Tells which files are the application's, and how they are named in a stack."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sys
import sysconfig

from slowhound.runtime.static_lookup import own

PACKAGES = "/site-packages/"
# Of a folder on ``sys.path``, and of the list of one distribution's files: a start must not wait.
MOST_ENTRIES, MOST_FILES = 20_000, 50_000


@functools.cache
def _library_roots() -> tuple[str, ...]:
    # Only where packages are installed. sysconfig's "data" and "scripts" are the whole prefix
    # (/usr/local), and an application that lives below it is still an application.
    # Python skips others, too.
    folders = [path for path in list[object](sys.path) if isinstance(path, str)]
    roots = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    # In a virtual environment sysconfig names the environment's folders for packages but the
    # base's for the standard library; the base's site-packages lie below the latter.
    # Debian keeps its own packages beside it, not below.
    roots += [path for path in folders if os.path.basename(path) == "dist-packages"]
    # bin/gunicorn; Debian's own is beside its Python, and not where packages put theirs.
    beside = os.path.dirname(sys.executable or "")
    roots += [
        sysconfig.get_path("scripts"),
        *([beside] if os.path.basename(beside) == "bin" else []),
    ]
    found = {root for each in roots if each for root in _below(each)}
    for name in ("django", "asgiref"):  # wherever they have been put
        file = own(sys.modules.get(name)).get("__file__")
        if type(file) is str:
            found |= _below(os.path.dirname(file))
    elsewhere = [path for path in map(absolute, folders) if not _is_below(path, found)]
    return (*found, *(each for path in elsewhere for each in _installed_in(path)))


def know_libraries() -> None:
    """Finds again what is installed: the settings are read, and ``sys.path`` is complete."""
    _library_roots.cache_clear()
    is_app.cache_clear()
    _library_roots()


def _installed_in(folder: str) -> set[str]:
    """What ``pip install --target`` has put there, beside whatever else is there."""
    lists = list[str]()
    with contextlib.suppress(OSError, ValueError), os.scandir(folder) as entries:
        for entry in itertools.islice(entries, MOST_ENTRIES):
            if entry.name.endswith(".dist-info"):
                lists.append(os.path.join(entry.path, "RECORD"))
    ours = tuple(name.replace(".", "/") + end for name in sorted(_named) for end in "./")
    names = {name for each in lists if os.path.isfile(each) for name in _named_in(each, ours)}
    return {
        os.path.join(way, name) for way in (_ways_to(folder) if names else ()) for name in names
    }


@functools.lru_cache(maxsize=1024)  # a test that overrides the settings makes it read again
def _named_in(record: str, ours: tuple[str, ...]) -> set[str]:
    """The packages, modules and scripts of a distribution, by its list of files.

    None of that which has the application itself. Of a namespace, what is directly in it.
    """
    packages, found = set[str](), set[tuple[str, str]]()
    with contextlib.suppress(OSError), open(record, encoding="utf-8", errors="replace") as lines:
        for line in itertools.islice(lines, MOST_FILES):
            path = line.partition(",")[0]
            if path.startswith(ours):
                return set()
            parts = path.split("/", 2)
            if parts[0] == "..":  # ../../bin/gunicorn, which lies in bin
                parts = ["bin", path.rpartition("/")[2] or "-"]
            if parts[1:] == ["__init__.py"]:
                packages.add(parts[0])
            # A whole path would be taken for one of everywhere.
            if parts[0] and not parts[0].endswith(".dist-info"):
                found.add((parts[0], "/".join(parts[:2]) + "/" * (len(parts) > 2)))
    return {f"{top}/" if top in packages else place for top, place in found}


def _is_below(folder: str, roots: set[str]) -> bool:
    path = normal(folder) + os.sep
    return path.startswith(tuple(roots)) or PACKAGES in path


def _below(folder: str) -> set[str]:
    """What the paths of files below it begin with."""
    return {path.rstrip(os.sep) + os.sep for path in _ways_to(folder)}


def _ways_to(path: str) -> set[str]:
    """The path without ``.``, ``..`` and ``//``, and without symbolic links."""
    found = {normal(path)}
    with contextlib.suppress(OSError, ValueError):  # no file, and no name of one
        found.add(os.path.realpath(path))
    return found


def absolute(path: str) -> str:
    """The whole path; from the root where the current folder is gone."""
    try:
        return os.path.abspath(path)
    except OSError:
        return os.path.normpath(os.path.join(os.sep, path))


def current_folder() -> str:
    """The current folder; empty where it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def normal(path: str) -> str:
    """``/srv/shop/views.py`` for ``/srv/./shop//views.py``; nothing is read."""
    found = os.path.normpath(path)
    return found[1:] if found.startswith("//") else found  # POSIX lets two of them be


_OWN = _below(os.path.dirname(os.path.dirname(absolute(__file__))))
# What the paths of the application's own files begin with, wherever it is installed; and names of
# its modules, all and those that are not imported yet.
_app_packages: set[str] = set()
_named: set[str] = set()
_awaited: set[str] = set()


def add_app_package(name: str) -> None:
    """Counts the package of a module as the application's even where it is installed as a library.

    Not slowhound's own, whose viewer has a ``ROOT_URLCONF``. A package that is not imported yet is
    searched for again with each file that is new to ``is_app``.
    """
    _named.add(name)
    _awaited.add(name)
    _find_awaited()


def _find_awaited() -> None:
    for name in tuple(_awaited):
        place = _place_of(name)
        if place is not None:
            _awaited.discard(name)
            _app_packages.update(each for each in place if not each.startswith(tuple(_OWN)))
            is_app.cache_clear()


def _place_of(name: str) -> set[str] | None:
    """Of a module its outermost package that has a file; None while that is not imported.

    In a namespace, which has none, a module is one of a folder of the application's.
    """
    parts = name.split(".")
    for number in range(1, len(parts) + 1):
        # Called by the hound, too: getattr() would load a lazy module.
        module = own(sys.modules.get(".".join(parts[:number])))
        file = module.get("__file__")
        if type(file) is str:
            if "__path__" in module or number > 1:
                return _below(os.path.dirname(file))
            return _ways_to(file)  # nothing but a module's own file begins with its name
    return None


@functools.lru_cache(maxsize=4096)
def is_app(filename: str) -> bool:
    """True when ``filename`` is the application's: not the standard library's, not a package's.

    A server may be started by a link, or by a path with ``./`` in it, and so may be whatever is
    imported from there.
    """
    if filename.startswith("<"):
        return False
    _find_awaited()
    ways = _ways_to(filename)
    if any(path.startswith(tuple(_app_packages)) for path in ways):
        return True
    return not any(path.startswith((*_OWN, *_library_roots())) or PACKAGES in path for path in ways)


@functools.lru_cache(maxsize=4096)
def short_path(filename: str) -> str:
    """The path as it would be imported: without the longest ``sys.path`` entry before it."""
    path = filename if filename.startswith("<") else normal(filename)
    for root in sorted((absolute(path) for path in sys.path), key=len, reverse=True):
        prefix = root.rstrip(os.sep) + os.sep
        if path.startswith(prefix):
            return path[len(prefix) :]
    return path
