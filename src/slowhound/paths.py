"""Which files are the application's, and what they are called in a stack."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import sysconfig

from slowhound.default_folder import absolute
from slowhound.static_lookup import own


@functools.cache
def _library_roots() -> tuple[str, ...]:
    # Only where packages are installed. sysconfig's "data" and "scripts" are the whole prefix
    # (/usr/local), and an application that lives below it is still an application.
    roots = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    # In a virtual environment sysconfig names the environment's folders for packages but the
    # base's for the standard library; the base's site-packages lie below the latter.
    # Debian keeps its own packages beside, not below.
    roots += [path for path in sys.path if os.path.basename(path) == "dist-packages"]
    # bin/gunicorn; Debian's own is beside its Python, and not where packages put theirs.
    beside = os.path.dirname(sys.executable or "")
    roots += [
        sysconfig.get_path("scripts"),
        *([beside] if os.path.basename(beside) == "bin" else []),
    ]
    return tuple({root for each in roots if each for root in _below(each)})


def _below(folder: str) -> set[str]:
    """What the paths of files below it begin with."""
    return {path.rstrip(os.sep) + os.sep for path in _ways_to(folder)}


def _ways_to(path: str) -> set[str]:
    """The path without ``.``, ``..`` and ``//``, and without symbolic links."""
    found = {normal(path)}
    with contextlib.suppress(OSError, ValueError):  # no file, and no name of one
        found.add(os.path.realpath(path))
    return found


def normal(path: str) -> str:
    """``/srv/shop/views.py`` for ``/srv/./shop//views.py``; nothing is read."""
    found = os.path.normpath(path)
    return found[1:] if found.startswith("//") else found  # POSIX lets two of them be


_OWN = _below(os.path.dirname(absolute(__file__)))
# What the paths of the application's own files begin with, wherever it is installed; and names of
# its modules that are not imported yet.
_app_packages: set[str] = set()
_awaited: set[str] = set()


def add_app_package(name: str) -> None:
    """Counts the package of a module as the application's even where it is installed as a library.

    Not slowhound's own, whose viewer has a ``ROOT_URLCONF``. What is not imported yet is looked for
    again when a file is asked for that was not asked for before.
    """
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
        # Asked from the hound's thread, too: a lazy module would be loaded by getattr().
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
    return not any(
        path.startswith((*_OWN, *_library_roots())) or "/site-packages/" in path for path in ways
    )


@functools.lru_cache(maxsize=4096)
def short_path(filename: str) -> str:
    """The path as it would be imported: without the longest ``sys.path`` entry before it."""
    path = filename if filename.startswith("<") else normal(filename)
    for root in sorted((absolute(path) for path in sys.path), key=len, reverse=True):
        prefix = root.rstrip(os.sep) + os.sep
        if path.startswith(prefix):
            return path[len(prefix) :]
    return path
