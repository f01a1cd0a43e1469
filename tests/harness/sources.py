"""Finds line numbers of the test site's source by marks in it, so that tests need no numbers."""

from __future__ import annotations

from pathlib import Path

SITE = Path(__file__).parents[1] / "site"


def line_of(file: str, mark: str) -> int:
    """The number of the one line of tests/site/`file` that ends with `# mark: MARK`."""
    text = (SITE / file).read_text().splitlines()
    found = [
        number for number, line in enumerate(text, 1) if line.rstrip().endswith(f"# mark: {mark}")
    ]
    assert len(found) == 1, f"{mark} in {file}: {found}"
    return found[0]


def loc(file: str, mark: str, function: str) -> str:
    """`path:line:function` of the marked line, as events show it."""
    return f"tests/site/{file}:{line_of(file, mark)}:{function}"
