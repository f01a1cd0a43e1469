"""The script that makes pages of the docs, as a module."""

from __future__ import annotations

import importlib.util
from functools import cache
from types import ModuleType

from tests.harness.launch import ROOT


@cache
def make_docs() -> ModuleType:
    """``scripts/make_docs.py``, which is in no package."""
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
