"""Hides a name of a library from slowhound, as if the installed version did not have it.

The library itself still has the name, and works: it is hidden only from code in slowhound's
modules. A name that slowhound finds in the code of a function is renamed there.
"""

from __future__ import annotations

import contextlib
import sys
from types import CodeType, FrameType, ModuleType
from typing import Any

from slowhound.runtime.library_names import find, find_imported

# Names that only a running Gunicorn uses: see tests/deploy/test_missing_names.py.
ON_SERVERS = (
    "gunicorn.arbiter.Arbiter.kill_worker",
    "gunicorn.arbiter.Arbiter.murder_workers",
    "gunicorn.arbiter.Arbiter.reap_workers",
    "gunicorn.arbiter.Arbiter.reap_workers:status",
    "gunicorn.arbiter.Arbiter.setup",
    "gunicorn.glogging.Logger.access",
    "gunicorn.http.errors.InvalidHeader:req",
    "gunicorn.http.wsgi.Response:headers_sent",
    "gunicorn.http.wsgi.Response:response_length",
    "gunicorn.http.wsgi.Response:sent",
    "gunicorn.http.wsgi.Response:status",
    "gunicorn.http.wsgi.Response:status_code",
    "gunicorn.http.wsgi.default_environ:gunicorn.socket",
    "gunicorn.util.write_error",
    "gunicorn.workers.base.Worker.handle_error",
    "gunicorn.workers.base.Worker:aborted",
    "gunicorn.workers.base.Worker:cfg",
    "gunicorn.workers.base.Worker:sockets",
    "gunicorn.workers.gthread.ThreadWorker",
    "gunicorn.workers.gthread.ThreadWorker:tpool",
    "gunicorn.workers.sync.SyncWorker",
)
# Names of instances' attributes, which slowhound also searches for in the code of their class.
_words: set[str] = set()


def _is_ours() -> bool:
    """True when the caller is slowhound."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals is globals():
        frame = frame.f_back
    module = "" if frame is None else frame.f_globals.get("__name__", "")
    return module.startswith("slowhound")


def hide(name: str) -> None:
    """Hides a name of docs/names-of-others.md until the process ends."""
    assert find(name) is not None, f"{name} is not there anyway"
    path, _, word = name.partition(":")
    owner_name, _, attribute = path.rpartition(".")
    thing, owner = find_imported(path), find_imported(owner_name)
    if word and isinstance(thing, type):
        _hide_in_objects(thing, word)
        _words.add(name)
    elif word:
        function = getattr(thing, "__func__", thing)
        function.__code__ = _renamed(function.__code__, word)
    elif isinstance(owner, ModuleType):
        _hide_in_module(owner, attribute)
    else:
        _hide_in_class(owner, attribute)


def hide_words() -> None:
    """Hides attributes of instances, once slowhound's own modules are imported."""
    from slowhound.runtime import library_names

    seen = library_names.find_imported
    library_names.find_imported = lambda name: None if name in _words else seen(name)


def _error(thing: Any, name: str) -> AttributeError:
    return AttributeError(f"{type(thing).__name__} has no attribute {name!r}", name=name, obj=thing)


def _hide_in_objects(kind: type, word: str) -> None:
    original: Any = kind.__getattribute__

    def get(self: Any, name: str) -> Any:
        if name == word and _is_ours():
            raise _error(self, name)
        return original(self, name)

    kind.__getattribute__ = get  # type: ignore[method-assign]


def _hide_in_class(kind: type, name: str) -> None:
    home = next(each for each in kind.__mro__ if name in vars(each))
    own = vars(home)[name]

    class Hidden:
        def __get__(self, thing: Any, owner: type) -> Any:
            if _is_ours():
                raise _error(thing or owner, name)
            return own.__get__(thing, owner) if hasattr(type(own), "__get__") else own

    with contextlib.suppress(TypeError):  # a class of C: its test uses a stub
        setattr(home, name, Hidden())


def _hide_in_module(module: ModuleType, name: str) -> None:
    own = getattr(module, name)
    if isinstance(own, type):
        with contextlib.suppress(TypeError):  # a class of C
            own.__name__ = f"{name}_of_today"

    class Hiding(type(module)):  # type: ignore[misc]
        def __getattribute__(self, wanted: str) -> Any:
            if wanted == name and _is_ours():
                raise _error(self, wanted)
            return super().__getattribute__(wanted)

    module.__class__ = Hiding


def _renamed(code: CodeType, word: str) -> CodeType:
    """The same code, with another name in the place of ``word``."""

    def new(each: Any) -> Any:
        if isinstance(each, CodeType):
            inner = _renamed(each, word)
            return inner.replace(co_name=new(each.co_name), co_qualname=new(each.co_qualname))
        if isinstance(each, tuple):
            return tuple(new(part) for part in each)
        return f"{word}_of_today" if each == word else each

    return code.replace(
        co_names=new(code.co_names),
        co_varnames=new(code.co_varnames),
        co_cellvars=new(code.co_cellvars),
        co_freevars=new(code.co_freevars),
        co_consts=new(code.co_consts),
    )
