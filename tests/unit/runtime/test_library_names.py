"""Names of libraries that are found while the library does as it likes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from slowhound.runtime.library_names import caught, find, has_all


class Meta(type):
    @property
    def hidden(cls) -> Any:
        raise RuntimeError("not here")


class Lazy(ModuleType):
    """A module whose names come when they are asked for, or do not."""

    plain = 5
    Class = Meta("Class", (), {})

    def __getattr__(self, name: str) -> Any:
        raise ImportError(f"{name} needs another library")


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lazy_library", Lazy("lazy_library"))


@pytest.mark.parametrize("name", ["lazy_library.Client", "lazy_library.Class.hidden"])
def test_name_that_raises_is_missing(name: str) -> None:
    """Whatever it raises."""
    assert find(name) is None
    assert not has_all([name], "nothing comes of it")


def test_module_that_cannot_be_imported_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it fails for reasons of its own."""
    (tmp_path / "broken_library.py").write_text("raise ValueError('of another platform')")
    monkeypatch.syspath_prepend(tmp_path)
    assert find("broken_library.Client") is None


@pytest.mark.parametrize("name", ["lazy_library.plain", "lazy_library.Class", "lazy_library.Gone"])
def test_what_is_no_exception_is_not_caught_as_one(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Any exception is taken for it then, and that is said."""
    assert caught(name) == (Exception,)
    assert f"the installed version has no {name}: any exception is taken for it" in caplog.text
