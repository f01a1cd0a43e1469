"""All secret texts of the corpus are hidden, and all harmless ones are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.redaction.corpus import HERE, scores

FILES = sorted(HERE.glob("*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_secret_is_shown_and_nothing_harmless_hidden(path: Path) -> None:
    """Each line of each file."""
    for what, score in scores(path).items():
        assert not score.leaked, f"{what}s that are shown"
        assert not score.hidden, f"{what}s that are hidden"
