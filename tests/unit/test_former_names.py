"""What was imported by another name before works until 0.2."""

from __future__ import annotations

import importlib

import pytest

NAMES = {
    "slowhound.redact": "text message masked value_of source query_string url short_text extend",
    "slowhound.secret_names": "is_secret",
    "slowhound.sqlshape": "sql_shape sql_statement double_quotes_are_text",
}


@pytest.mark.parametrize("module", NAMES)
def test_former_name_gives_the_same(module: str) -> None:
    """No copy: it is the function that masks today."""
    former = importlib.import_module(module)
    for name in NAMES[module].split():
        function = getattr(former, name)
        home = importlib.import_module(function.__module__)
        assert home.__name__.startswith("slowhound.redaction.")
        assert getattr(home, name) is function
