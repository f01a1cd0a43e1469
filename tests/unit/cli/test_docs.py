"""The page about the command line and the code agree."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from slowhound.cli import COMMANDS, build_parser, module_of

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "cli.md").read_text()


def section(command: str) -> str:
    """The page's section about one command."""
    return PAGE.partition(f"\n## {command}\n")[2].partition("\n## ")[0]


def options(command: str) -> set[str]:
    """The options of a command, without the common ones."""
    parser = argparse.ArgumentParser()
    module_of(command).add(parser)
    return {
        name for each in parser._actions for name in each.option_strings if name.startswith("--")
    } - {"--help"}


def test_every_command_has_its_section() -> None:
    """Each command is documented."""
    assert set(COMMANDS) <= set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_its_section(command: str) -> None:
    """And the section names no other option."""
    named = set(re.findall(r"--[a-z][a-z-]+", section(command)))
    assert named - {"--dir"} == options(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_section_has_an_example(command: str) -> None:
    """The command line and its output."""
    blocks = re.findall(r"^```text\n(.*?)^```$", section(command), re.MULTILINE | re.DOTALL)
    assert any(f"slowhound {command}" in block.partition("\n")[0] for block in blocks)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_can_be_printed(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first line is one short sentence."""
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: slowhound {command}")
    summary = (module_of(command).__doc__ or "").split("\n")[0]
    assert summary.endswith(".")
    assert len(summary) < 80


def test_every_name_of_the_json_is_on_the_page() -> None:
    """`ps --json` is for programs, whose authors need the names."""
    from slowhound.peers.workers import InFlight

    assert [name for name in InFlight._fields if f"`{name}`" not in section("ps")] == []


def test_every_check_is_in_the_table() -> None:
    """The numbers in the code and on the page are the same."""
    numbers = re.compile(r"slowhound\.[EW]\d{3}")
    source = (ROOT / "src" / "slowhound" / "config" / "checks.py").read_text()
    assert set(numbers.findall(source)) == set(numbers.findall(PAGE))
