"""Callbacks after an import."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from slowhound.instrument.imports import forget, when_imported


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that is not imported yet."""
    (tmp_path / "not_imported_yet.py").write_text("loader = __loader__\nvalue = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "not_imported_yet"
    sys.modules.pop("not_imported_yet", None)
    forget()


def test_callback_runs_once_after_the_import(module: str) -> None:
    """The module is complete by then, and sees no difference."""
    seen: list[ModuleType] = []
    when_imported(module, seen.append)
    assert not seen
    __import__(module)
    found = sys.modules[module]
    assert seen == [found]
    assert found.value == 1
    assert found.loader is found.__loader__ is found.__spec__.loader  # type: ignore[union-attr]


def test_imported_module_is_called_back_for_at_once() -> None:
    """An import that has happened is not awaited."""
    seen: list[ModuleType] = []
    when_imported("json", seen.append)
    assert seen == [sys.modules["json"]]


def test_failing_callback_does_not_break_the_import(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application gets its module."""
    monkeypatch.setattr("slowhound.system.guard.loud", False)
    when_imported(module, lambda module: 1 / 0)
    assert __import__(module).value == 1


def test_missing_module_is_missing() -> None:
    """An ImportError stays what it was."""
    when_imported("there_is_no_such_module", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"):
        __import__("there_is_no_such_module")
    forget()
