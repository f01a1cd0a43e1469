"""`slowhound watch`: its arguments, its output, and the file it writes."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import pytest

from slowhound.cli import main
from slowhound.cli.watch import duration, threshold, view_name
from slowhound.config.overrides import MOST_OVERRIDES, OVERRIDES_FILE, Override, load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def watch(folder: Path, *arguments: str) -> int:
    return main(["watch", "--dir", str(folder), *arguments])


def names(folder: Path) -> dict[str | None, float]:
    """The overrides in the file."""
    found = load(str(folder / OVERRIDES_FILE), os.geteuid())
    return {each.view: each.slow_after for each in found}


def test_overrides_apply_and_are_shown(folder: Path, capsys: Any) -> None:
    """For all views and for one, each with its end."""
    assert watch(folder, "--slow-after", "2", "--for", "10m") == 0
    assert watch(folder, "--slow-after", "0.5", "--for", "90s", "--view", "shop:pay") == 0
    assert "no worker runs here" in capsys.readouterr().err
    found = Override()
    found.read(str(folder))
    assert (found.threshold(("shop:pay",)), found.threshold(("x",))) == (0.5, 2.0)
    assert watch(folder) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("all views: slow after 2 s, until ")
    assert first.endswith(("(10:00)", "(9:59)"))
    assert second.startswith("view shop:pay: slow after 0.5 s, until ")


def test_last_override_of_a_view_applies(folder: Path) -> None:
    """Those of other views stay."""
    for view, seconds in (("a", "1"), ("b", "2"), ("a", "3")):
        watch(folder, "--slow-after", seconds, "--for", "1h", "--view", view)
    assert names(folder) == {"a": 3.0, "b": 2.0}


def test_off_ends_all_or_one(folder: Path, capsys: Any) -> None:
    """Without an override it is no error."""
    for view in ("a", "b", "c"):
        watch(folder, "--slow-after", "1", "--for", "1h", "--view", view)
    capsys.readouterr()
    assert watch(folder, "--off", "--view", "b") == 0
    assert names(folder) == {"a": 1.0, "c": 1.0}
    assert watch(folder, "--off", "--view", "b") == 0
    assert watch(folder, "--off") == 0
    assert not (folder / OVERRIDES_FILE).exists()
    assert watch(folder, "--off") == 0
    assert capsys.readouterr().out.split("\n")[:-1] == [
        "ended",
        "there was no override",
        "ended",
        "there was no override",
    ]


def test_no_override_is_reported(folder: Path, capsys: Any) -> None:
    """With exit code 1, also where the file holds noise."""
    assert watch(folder) == 1
    (folder / OVERRIDES_FILE).write_bytes(b"\x1b[2J noise")
    assert watch(folder) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("no override; SLOW_AFTER from the settings applies") == 2


def test_names_in_the_file_cannot_move_the_cursor(folder: Path, capsys: Any) -> None:
    """Another program may have written it."""
    text = '{"thresholds":[{"view":"\\u001b[2J\\r\\n","slow_after":1,"until":%s}]}'
    (folder / OVERRIDES_FILE).write_text(text % (time.time() + 60))
    (folder / OVERRIDES_FILE).chmod(0o600)
    assert watch(folder) == 0
    assert capsys.readouterr().out.startswith(r"view \x1b[2J\r\n: slow after 1 s")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--slow-after", "1"],
        ["--for", "1m"],
        ["--slow-after", "1", "--for", "1m", "--off"],
        ["--view", "a"],
        ["--slow-after", "nan", "--for", "1m"],
        ["--slow-after", "soon", "--for", "1m"],
        ["--slow-after", "-1", "--for", "1m"],
        ["--slow-after", "1", "--for", "10"],
        ["--slow-after", "1", "--for", "25h"],
        ["--slow-after", "1", "--for", "1m", "--view", ""],
    ],
)
def test_wrong_use_changes_nothing(folder: Path, arguments: list[str]) -> None:
    """Exit code 2."""
    with pytest.raises(SystemExit) as ended:
        watch(folder, *arguments)
    assert ended.value.code == 2
    assert list(folder.iterdir()) == []


def test_durations_have_a_unit() -> None:
    """A number alone could be seconds or minutes."""
    assert [duration(each) for each in ("90s", "10m", "1h", "1.5h", "24h", "1d")] == [
        90.0,
        600.0,
        3600.0,
        5400.0,
        86400.0,
        86400.0,
    ]
    for each in ("", "s", "10", "-1m", "0s", "2d", "1 m", "1e3s", "\u0661s", "1m\n"):
        with pytest.raises(argparse.ArgumentTypeError):
            duration(each)


def test_values_are_checked() -> None:
    """No infinity, and no name with control characters."""
    assert threshold("0") == 0.0
    for each in ("inf", "-0.1", "nan"):
        with pytest.raises(argparse.ArgumentTypeError):
            threshold(each)
    assert view_name("shop:pay") == "shop:pay"
    for each in ("", "a\nb", "v" * 301):
        with pytest.raises(argparse.ArgumentTypeError):
            view_name(each)


def test_number_of_overrides_is_limited(folder: Path, capsys: Any) -> None:
    """The file stays small enough to be read each time it changes."""
    for number in range(MOST_OVERRIDES):
        assert watch(folder, "--slow-after", "1", "--for", "1h", "--view", f"v{number}") == 0
    assert watch(folder, "--slow-after", "1", "--for", "1h", "--view", "one more") == 1
    assert "the most there can be" in capsys.readouterr().err
    assert watch(folder, "--slow-after", "2", "--for", "1h", "--view", "v1") == 0
    assert len(names(folder)) == MOST_OVERRIDES
