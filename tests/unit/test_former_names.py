"""Modules that have moved can be imported by their former names until version 0.2."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import pytest

from slowhound.flames.render import svg

REDACTION = {
    "slowhound.redact": "text message masked value_of source query_string url short_text extend",
    "slowhound.secret_names": "is_secret",
    "slowhound.sqlshape": "sql_shape sql_statement double_quotes_are_text",
}


def imported(module: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, imported for the first time: that warns, and names both paths."""
    monkeypatch.delitem(sys.modules, module, raising=False)
    message = rf"{re.escape(module)} is now slowhound\.\S+; .*version 0\.2"
    with pytest.warns(DeprecationWarning, match=message) as warned:
        found = importlib.import_module(module)
    assert len(warned) == 1
    return found


@pytest.mark.parametrize("module", REDACTION)
def test_former_name_of_redaction_gives_the_same_functions(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No copies: the functions that mask today."""
    former = imported(module, monkeypatch)
    for name in REDACTION[module].split():
        function = getattr(former, name)
        home = importlib.import_module(function.__module__)
        assert home.__name__.startswith("slowhound.redaction.")
        assert getattr(home, name) is function


def test_former_name_of_the_svg_has_the_hashes_for_a_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page's Content-Security-Policy allows the script and the style by them."""
    former = imported("slowhound.flames.svg", monkeypatch)
    assert former.SCRIPT_HASH == svg.SCRIPT_HASH
    assert former.STYLE_HASH == svg.STYLE_HASH
    assert former.render is svg.render
