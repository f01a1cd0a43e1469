"""Each instrumenter is installed, made to fail by a test, and on the page about one request."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest

from slowhound import instrument
from slowhound.instrument.builtin import INSTRUMENTERS
from tests.harness.launch import ROOT
from tests.unit.test_never_hurts import PARTS

IS_NONE = {"builtin", "registry"}


def test_each_instrumenter_is_installed() -> None:
    """A module that can be installed and uninstalled is in the list."""
    modules = [
        importlib.import_module(f"{instrument.__name__}.{each.name}")
        for each in pkgutil.iter_modules(instrument.__path__)
        if each.name not in IS_NONE
    ]
    found = [each for each in modules if hasattr(each, "install") and hasattr(each, "uninstall")]
    assert set(found) == set(INSTRUMENTERS)


@pytest.mark.parametrize("module", INSTRUMENTERS, ids=lambda module: module.__name__)
def test_each_instrumenter_has_its_row_on_the_page(module: ModuleType) -> None:
    """What it sees of a request."""
    page = (ROOT / "docs" / "one-request.md").read_text()
    name = module.__name__.rpartition(".")[2]
    assert f"\n| `instrument/{name}.py` |" in page


@pytest.mark.parametrize("module", INSTRUMENTERS, ids=lambda module: module.__name__)
def test_each_instrumenter_is_made_to_fail(module: ModuleType) -> None:
    """What it adds to the event must not hurt the response when it cannot."""
    adds_nothing = "Adds nothing" in module.describe.__doc__
    assert adds_nothing or (module, "describe") in PARTS
