"""``slowhound doctor``: what this host lets slowhound read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from slowhound.cli.diagnostics import Diagnostic, host
from slowhound.cli.diagnostics.trial import Trial
from slowhound.gil import remote_unwinder
from slowhound.system import oom_kills


def one(subject: str, found: Iterable[Diagnostic]) -> Diagnostic:
    """The one diagnostic about ``subject``."""
    (only,) = [each for each in found if each.subject == subject]
    return only


def test_system_calls_that_cannot_be_read_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports then show less of what a request waits for."""
    monkeypatch.setattr(host, "waiting_for", lambda thread: None)
    assert one(host.SYSTEM_CALLS, host.stacks()).state == "note"


@pytest.mark.parametrize(
    ("scope", "state", "text"),
    [
        (0, "ok", "the same user"),
        (1, "ok", "arbiter"),
        (2, "note", "only by root"),
        (3, "note", "cannot be read"),
    ],
)
def test_ptrace_scope_decides_who_may_read(
    monkeypatch: pytest.MonkeyPatch, scope: int, state: str, text: str
) -> None:
    """The four values of Yama, with Python's own reader."""
    monkeypatch.setattr(remote_unwinder, "available", True)
    found = host.held_gil_stacks(scope, None, lambda: Trial("remote"))
    assert found.state == state
    assert text in found.text


@pytest.mark.parametrize(
    ("scope", "state", "text"),
    [
        (0, "ok", "with /bin/py-spy by the same user"),
        (1, "note", "only by root"),
        (3, "note", "cannot be read"),
    ],
)
def test_py_spy_is_not_an_ancestor_of_a_worker(
    monkeypatch: pytest.MonkeyPatch, scope: int, state: str, text: str
) -> None:
    """The arbiter starts it, so Yama does not let it read what the arbiter itself could."""
    monkeypatch.setattr(remote_unwinder, "available", False)
    found = host.held_gil_stacks(scope, "/bin/py-spy", lambda: Trial("py-spy"))
    assert found.state == state
    assert text in found.text


def test_missing_py_spy_is_a_note_on_an_older_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text says which stacks a report has then, the advice what to install."""
    monkeypatch.setattr(remote_unwinder, "available", False)
    found = host.held_gil_stacks(0, None, lambda: pytest.fail("nothing to try"))
    assert found.state == "note"
    assert "last stack before" in found.text
    assert "slowhound[pyspy]" in found.advice


@pytest.mark.parametrize(("written", "scope"), [("1\n", 1), ("3\n", 3), ("", 0), (None, 0)])
def test_ptrace_scope_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str | None, scope: int
) -> None:
    """A kernel without Yama has no such file and no such limit."""
    path = tmp_path / "ptrace_scope"
    if written is not None:
        path.write_text(written)
    monkeypatch.setattr(host, "PTRACE_SCOPE", str(path))
    assert host._ptrace_scope() == scope


@pytest.mark.parametrize(("counter", "state"), [("/cg/memory.events", "ok"), (None, "note")])
def test_missing_counter_of_oom_kills_is_a_note(
    monkeypatch: pytest.MonkeyPatch, counter: str | None, state: str
) -> None:
    """Without it an OOM kill is reported like any other SIGKILL."""
    monkeypatch.setattr(oom_kills, "counter_file", lambda: counter)
    found = one(host.OOM_KILLS, host.deaths())
    assert found.state == state
    assert counter is None or counter in found.text
