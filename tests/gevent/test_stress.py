"""Stacks that are read while their greenlets run, end and are killed."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.harness.launch import ROOT


def test_no_stack_is_another_greenlets() -> None:
    """Fifty thousand stacks of greenlets that live for a moment: none crashes, none is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.gevent.stress"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["stacks"] >= 50_000
    assert counts["running"] >= 100
    assert counts["ended"] >= 1000
    assert counts["alive"] == [True, True]
    assert counts["wrong"] == []
