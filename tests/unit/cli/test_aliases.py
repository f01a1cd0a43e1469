"""Former names of commands keep working, and only the page about the commands mentions them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slowhound.cli import ALIASES, COMMANDS, build_parser, main, module_of

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("only_wanted", [True, False])
def test_former_name_runs_the_command(alias: str, only_wanted: bool) -> None:
    """Also where only the parser of the wanted command is built."""
    parser = build_parser(alias if only_wanted else None)
    arguments = parser.parse_args([alias, "--dir", "x"])
    assert arguments.run is module_of(ALIASES[alias]).run
    assert arguments.dir == "x"


def test_former_name_refuses_as_the_command_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same text and exit code."""
    for name in ("sidecar", "neighbour"):
        assert main([name, "--dir", str(tmp_path / "none")]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == second
    assert "No slowhound data here" in first


def test_help_lists_each_command_once(capsys: pytest.CaptureFixture[str]) -> None:
    """With the former name in brackets after it."""
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    found = re.findall(r"^    (\w+)(?: \((\w+)\))?(?=\s)", capsys.readouterr().out, re.MULTILINE)
    assert [name for name, _ in found if name in COMMANDS] == list(COMMANDS)
    assert {alias: name for name, alias in found if alias} == ALIASES


@pytest.mark.parametrize("alias", ALIASES)
def test_former_name_is_on_one_line_of_one_page(alias: str) -> None:
    """People who know it find it; new readers learn one name."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [
        f"{page.name}: {line}"
        for page in pages
        for line in page.read_text().splitlines()
        if f"`{alias}`" in line or f"slowhound {alias}" in line
    ]
    assert len(lines) == 1
    assert lines[0].startswith("cli.md: ")
