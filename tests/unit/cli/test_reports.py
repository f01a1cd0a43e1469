"""`slowhound reports` and `slowhound report`: slow requests and deaths, grouped and in full."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.harness.command import slowhound
from tests.store.events import EVENTS, START, segment

FIRST = "slow_request_20261121T183515Z_20427_4_0a0b0c0d.log"
SECOND = "slow_request_20261121T183615Z_20427_5_11223344.log"
TEXT = """Undead request intercepted at: 21-11-2026 18:35:15 UTC (2026-11-21T18:35:15Z)

GET http://shop/cart/?x=\x1b[2J
Hostname:   vm

  File "shop/cart.py", line 7, in pay

So far:
  req_id            {req_id}
  resp_view         cart
  slow_fingerprint  f00d

Timeline: nothing recorded yet.
  req_id            r999
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    segment(tmp_path, EVENTS)
    (tmp_path / "reports").mkdir(mode=0o700)
    for name, req_id in ((FIRST, "r6"), (SECOND, "r7")):
        (tmp_path / "reports" / name).write_text(TEXT.format(req_id=req_id))
    return tmp_path


def test_groups_and_deaths_are_listed(folder: Path) -> None:
    """The newest first, each with an id that `report` knows."""
    found = json.loads(slowhound("reports", folder, "--json").stdout)
    assert [(each["kind"], each["n"], each["id"]) for each in found] == [
        ("oom", 1, "r11"),
        ("timeout", 1, "r10"),
        ("slow", 1, "f00d"),
    ]
    assert found[2] == {
        "kind": "slow",
        "n": 1,
        "first": START + 90,
        "last": START + 95,
        "view": "cart",
        "verdict": "stuck",
        "loc": "shop/cart.py:7:pay",
        "id": "f00d",
    }
    assert "f00d" in slowhound("reports", folder).stdout
    since = slowhound("reports", folder, "--json", "--since", str(START + 120), "--limit", "1")
    assert [each["kind"] for each in json.loads(since.stdout)] == ["oom"]
    for each in found:
        assert slowhound("report", folder, each["id"]).returncode == 0


def test_nothing_slow_is_reported(tmp_path: Path) -> None:
    """Exit code 1."""
    segment(tmp_path, EVENTS[:3])
    done = slowhound("reports", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing was found" in done.stderr


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (FIRST, FIRST),
        ("slow_request_20261121T183515", FIRST),
        ("r6", FIRST),
        ("r7", SECOND),
        ("f00d", SECOND),  # the newest
    ],
)
def test_report_is_found_by_all_its_names(folder: Path, wanted: str, name: str) -> None:
    """Its file name or the start of it, the request's id, the group's fingerprint."""
    done = slowhound("report", folder, wanted)
    assert done.returncode == 0, done.stderr
    assert name in done.stderr
    assert done.stdout.startswith("Undead request intercepted at: 21-11-2026")
    assert '  File "shop/cart.py", line 7, in pay\n' in done.stdout
    assert "\x1b" not in done.stdout
    assert r"/cart/?x=\x1b[2J" in done.stdout


def test_request_without_a_report_is_shown_by_its_events(folder: Path) -> None:
    """As one that died with its worker."""
    done = slowhound("report", folder, "r10")
    assert done.returncode == 0, done.stderr
    assert "timeout_cause_loc  shop/bank.py:9:call" in done.stdout
    assert "these are its events" in done.stderr


def test_missing_or_ambiguous_name_is_refused(folder: Path) -> None:
    """Exit code 1 and no guess; an id elsewhere in the text does not count."""
    for wanted, text in (
        ("nobody", "no report or request nobody"),
        ("slow_request_2026", "2 reports start with"),
        ("r999", "no report or request r999"),
        ("../secret", "no report"),
    ):
        done = slowhound("report", folder, wanted)
        assert (done.returncode, done.stdout) == (1, "")
        assert text in done.stderr
    assert slowhound("report", folder).returncode == 2


def test_report_that_cannot_be_read_is_an_error(folder: Path) -> None:
    """As a folder of that name; other reports are still found."""
    broken = folder / "reports" / "slow_request_20271121T183815Z_20427_7_11223344.log"
    broken.mkdir()
    done = slowhound("report", folder, broken.name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"slowhound: {broken} cannot be read: it is not a regular file\n"
    assert "no report or request r999" in slowhound("report", folder, "r999").stderr


def test_links_and_other_files_are_not_printed(folder: Path) -> None:
    """Only files with the name of a report, and no links."""
    secret = folder / "secret"
    secret.write_text("secret")
    link = folder / "reports" / "slow_request_20261121T183715Z_20427_6_11223344.log"
    link.symlink_to(secret)
    (folder / "reports" / "slow_request_x.log").write_text("secret")
    os.mkfifo(folder / "reports" / "slow_request_20261121T183815Z_20427_7_11223344.log")
    for wanted in (link.name, "slow_request_x", "slow_request_20261121T183815"):
        assert "secret" not in slowhound("report", folder, wanted).stdout
