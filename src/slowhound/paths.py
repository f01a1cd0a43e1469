"""Which files are the application's, and what they are called in a stack."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import sysconfig

from slowhound.default_folder import absolute


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
_app_packages: set[str] = set()


def add_app_package(name: str) -> None:
    """Counts a top-level package as the application's even where it is installed as a library.

    Not slowhound's own, whose viewer has a ``ROOT_URLCONF``.
    """
    module = sys.modules.get(name.partition(".")[0])
    path = getattr(module, "__file__", None)
    if path and os.path.basename(path) == "__init__.py":
        _app_packages.update(_below(os.path.dirname(path)) - _OWN)
        is_app.cache_clear()


@functools.lru_cache(maxsize=4096)
def is_app(filename: str) -> bool:
    """True when ``filename`` is the application's: not the standard library's, not a package's.

    A server may be started by a link, or by a path with ``./`` in it, and so may be whatever is
    imported from there.
    """
    if filename.startswith("<"):
        return False
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
