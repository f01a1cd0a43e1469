"""``slowhound doctor``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test.utils import override_settings

from slowhound.cli.diagnostics import host as diagnostics
from slowhound.cli.diagnostics.host import Diagnostic
from slowhound.cli.diagnostics.trial import Trial
from slowhound.gil import remote_unwinder
from slowhound.system import oom_kills


def doctor(*arguments: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "slowhound", "doctor", "--json", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )
    return done.returncode, json.loads(done.stdout)


def states(found: list[dict[str, Any]]) -> dict[str, str]:
    return {each["subject"]: each["state"] for each in found}


def test_healthy_folder_is_fine_and_left_as_it_was(tmp_path: Path) -> None:
    """A look makes nothing that stays."""
    code, found = doctor("--dir", str(tmp_path / "new"))
    assert code == 0
    assert states(found)["DIR"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_folder_of_others_is_a_problem(tmp_path: Path) -> None:
    """It says why, what to do, and exits with 1."""
    os.chmod(tmp_path, 0o777)
    code, found = doctor("--dir", str(tmp_path))
    assert code == 1
    (problem,) = [each for each in found if each["state"] == "problem"]
    assert "writable by other users" in problem["text"]
    assert problem["advice"]


def test_look_that_fails_is_a_finding_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a DIR that may not be listed; what was made for the look has gone."""

    def denied(path: str) -> bool:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(diagnostics, "_has_locks", denied)
    found = diagnostics.all_of(str(tmp_path / "new"))
    (problem,) = [each for each in found if each.state == "problem"]
    assert problem.subject == "DIR"
    assert "Permission denied" in problem.text
    assert found[-1].subject == "other servers"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no backlog")
def test_long_temporary_folder_is_nothing_to_the_doctor(tmp_path: Path) -> None:
    """A socket has no path of more than 107 bytes."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    code, found = doctor("--dir", str(tmp_path / "new"), TMPDIR=str(long))
    assert code == 0
    assert states(found)["backlog of unix sockets"] == "ok"


def test_wrong_settings_are_problems_with_their_number(tmp_path: Path) -> None:
    """The same findings as Django's system checks, outside Django."""
    (tmp_path / "bad_settings.py").write_text(
        "SECRET_KEY = 'x'\nMIDDLEWARE = []\nSLOWHOUND = {'SLOW': 1, 'STORE': 2}\n"
        "DOGSLOW_TIMER = 'soon'\n"
    )
    code, found = doctor(
        "--dir",
        str(tmp_path / "d"),
        DJANGO_SETTINGS_MODULE="bad_settings",
        PYTHONPATH=str(tmp_path),
    )
    assert code == 1
    problems = [each["subject"] for each in found if each["state"] == "problem"]
    assert sorted(problems) == ["slowhound.E002", "slowhound.E003", "slowhound.E003"]


def test_settings_that_cannot_be_loaded_are_a_problem(tmp_path: Path) -> None:
    """No traceback: a sentence."""
    code, found = doctor("--dir", str(tmp_path / "d"), DJANGO_SETTINGS_MODULE="no_such_settings")
    assert code == 1
    assert "no_such_settings" in next(x["text"] for x in found if x["state"] == "problem")


def one(subject: str, found: Iterable[Diagnostic]) -> Diagnostic:
    """The one finding about ``subject``."""
    (only,) = [each for each in found if each.subject == subject]
    return only


@pytest.mark.parametrize("enabled", [True, False])
def test_faulthandler_that_is_enabled_is_a_note(tmp_path: Path, enabled: bool) -> None:
    """Then the stack of a segmentation fault is not slowhound's."""
    code, found = doctor("--dir", str(tmp_path / "d"), PYTHONFAULTHANDLER="1" if enabled else "")
    assert code == 0
    assert states(found)["faulthandler"] == ("note" if enabled else "ok")


def test_system_calls_that_cannot_be_read_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports then say less of what a request waits for."""
    monkeypatch.setattr(diagnostics, "waiting_for", lambda thread: None)
    assert one("system calls of threads", diagnostics.stacks()).state == "note"


@pytest.mark.parametrize(
    ("scope", "state", "says"),
    [
        (0, "ok", "the same user"),
        (1, "ok", "arbiter"),
        (2, "note", "only by root"),
        (3, "note", "by nobody"),
    ],
)
def test_ptrace_scope_says_who_may_read(
    monkeypatch: pytest.MonkeyPatch, scope: int, state: str, says: str
) -> None:
    """The four values that Yama knows, where Python itself reads."""
    monkeypatch.setattr(remote_unwinder, "available", True)
    found = diagnostics.while_the_gil_is_held(scope, None, lambda: Trial("remote"))
    assert found.state == state
    assert says in found.text


@pytest.mark.parametrize(
    ("scope", "state", "says"),
    [
        (0, "ok", "with /bin/py-spy by the same user"),
        (1, "note", "only by root"),
        (3, "note", "by nobody"),
    ],
)
def test_py_spy_is_no_ancestor_of_a_worker(
    monkeypatch: pytest.MonkeyPatch, scope: int, state: str, says: str
) -> None:
    """The arbiter starts it, and so Yama does not let it read what the arbiter itself could."""
    monkeypatch.setattr(remote_unwinder, "available", False)
    found = diagnostics.while_the_gil_is_held(scope, "/bin/py-spy", lambda: Trial("py-spy"))
    assert found.state == state
    assert says in found.text


def test_missing_py_spy_is_a_note_on_an_older_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what a report has then, and what to install."""
    monkeypatch.setattr(remote_unwinder, "available", False)
    found = diagnostics.while_the_gil_is_held(0, None, lambda: pytest.fail("nothing to try"))
    assert found.state == "note"
    assert "last stack before" in found.text
    assert "slowhound[pyspy]" in found.advice


@pytest.mark.parametrize(("written", "scope"), [("1\n", 1), ("3\n", 3), ("", 0), (None, 0)])
def test_ptrace_scope_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str | None, scope: int
) -> None:
    """A kernel without Yama has no such file, and no such limit."""
    path = tmp_path / "ptrace_scope"
    if written is not None:
        path.write_text(written)
    monkeypatch.setattr(diagnostics, "PTRACE_SCOPE", str(path))
    assert diagnostics._ptrace_scope() == scope


@pytest.mark.parametrize(("counter", "state"), [("/cg/memory.events", "ok"), (None, "note")])
def test_counter_of_oom_kills_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, counter: str | None, state: str
) -> None:
    """Without one a death for want of memory looks like any other SIGKILL."""
    monkeypatch.setattr(oom_kills, "counter_file", lambda: counter)
    found = one("kills for want of memory", diagnostics.deaths())
    assert found.state == state
    assert counter is None or counter in found.text


def test_servers_that_are_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with what slowhound sees under it; those that are not here are left out."""
    here = {"gunicorn", "gevent", "uvicorn", "daphne"}
    monkeypatch.setattr(diagnostics, "_installed", lambda name: name in here)
    found = [each.subject for each in diagnostics.server()]
    assert found == [
        "Gunicorn sync, gthread",
        "Gunicorn gevent",
        "uvicorn, daphne",
        "other servers",
    ]


def test_asgi_worker_is_no_part_of_older_gunicorns() -> None:
    """A module of a package that is not there is not installed either."""
    assert not diagnostics._installed("no_such_package.workers.gasgi")


def test_wrong_use_exits_with_2() -> None:
    """As every command does."""
    done = subprocess.run(
        [sys.executable, "-m", "slowhound", "doctor", "--no-such"],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOGSLOW_TIMER", "25"),
        ("DOGSLOW_OUTPUT", 5),
        ("DOGSLOW_EMAIL_TO", [1]),
        ("DOGSLOW_LOG_LEVEL", "LOUD"),
        ("DOGSLOW_IGNORE_URLS", "one"),
        ("DOGSLOW_LOGGER", 1),
        ("DOGSLOW", "no"),
        ("FLAMES_DIR", 1),
    ],
)
def test_bad_old_setting_is_an_error(name: str, value: Any) -> None:
    """dogslow's settings are checked like slowhound's own."""
    other = {"DOGSLOW_EMAIL_FROM": "a@b"} if name == "DOGSLOW_EMAIL_TO" else {}
    with override_settings(**{name: value, **other}):
        found = run_checks(tags=["slowhound"])
    assert [each.id for each in found] == ["slowhound.E003"]
    assert name in found[0].msg


def test_address_without_a_sender_is_an_error() -> None:
    """Half of the mail settings sends nothing, and says so."""
    with override_settings(DOGSLOW_EMAIL_TO="a@b"):
        assert [each.id for each in run_checks(tags=["slowhound"])] == ["slowhound.E003"]


def test_sink_that_cannot_be_imported_is_an_error() -> None:
    """Not only when the first report is due."""
    with override_settings(SLOWHOUND={"SINKS": ["no.such.Sink"]}):
        assert [each.id for each in run_checks(tags=["slowhound"])] == ["slowhound.E004"]


def test_folder_and_locals_are_warned_about(tmp_path: Path) -> None:
    """A DIR that this user cannot use, and locals in production."""
    os.chmod(tmp_path, 0o777)
    with override_settings(SLOWHOUND={"DIR": str(tmp_path), "LOCALS": True}):
        found = [each.id for each in run_checks(tags=["slowhound"])]
    assert sorted(found) == ["slowhound.W002", "slowhound.W003"]
