"""The page about the command line and the code agree."""

from __future__ import annotations

import re
from pathlib import Path

from slowhound.cli import COMMANDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text()


def test_every_command_has_its_section() -> None:
    """A command that nobody can read about does not exist."""
    assert set(COMMANDS) <= set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))


def test_every_check_is_in_the_table() -> None:
    """The numbers in the code and on the page are the same."""
    numbers = re.compile(r"slowhound\.[EW]\d{3}")
    source = (ROOT / "src" / "slowhound" / "checks.py").read_text()
    assert set(numbers.findall(source)) == set(numbers.findall(PAGE))
