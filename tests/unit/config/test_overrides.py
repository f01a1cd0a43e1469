"""Thresholds that an operator sets for a while: what is read, and what of it is believed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.config import overrides
from slowhound.config.overrides import OVERRIDES_FILE, Override, Threshold, load, store
from slowhound.runtime.clocks import clock

DAY = 24 * 3600.0


@pytest.fixture
def watched(tmp_path: Path) -> Override:
    """Two thresholds in force, one for all views."""
    now = time.time()
    store(str(tmp_path), [Threshold(None, 2.0, now + 60), Threshold("shop:pay", 0.5, now + 90)])
    found = Override()
    found.read(str(tmp_path))
    return found


def write(folder: Path, data: Any, mode: int = 0o600) -> Override:
    """What a file with this content makes of an Override that had none before."""
    path = folder / OVERRIDES_FILE
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    path.chmod(mode)
    found = Override()
    found.read(str(folder))
    return found


def one(**changed: Any) -> dict[str, Any]:
    entry = {"view": None, "slow_after": 1.0, "until": time.time() + 60, **changed}
    return {"thresholds": [entry]}


def test_view_has_its_own_threshold_and_all_others_theirs(watched: Override) -> None:
    """Any name of the view will do, as in the settings."""
    assert watched.threshold(("shop:pay", "pay", "pay/", None)) == 0.5
    assert watched.threshold((None, "pay", "shop:pay")) == 0.5
    assert watched.threshold(("shop:cart",)) == 2.0
    assert watched.threshold(()) == 2.0
    assert watched.shortest() == 0.5


def test_without_a_file_nothing_is_in_force(tmp_path: Path) -> None:
    """Nor without the folder."""
    found = Override()
    for folder in (tmp_path, tmp_path / "none", Path("/proc/self/nothing\0")):
        found.read(str(folder))
        assert (found.threshold(("a",)), found.shortest()) == (None, None)


def test_view_alone_leaves_the_others_as_configured(tmp_path: Path) -> None:
    """None means that nothing is in force for them."""
    found = write(tmp_path, one(view="a"))
    assert (found.threshold(("a",)), found.threshold(("b",)), found.threshold(())) == (
        1.0,
        None,
        None,
    )


def test_it_ends_by_itself(
    tmp_path: Path, watched: Override, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each at its own time, without anybody who removes it."""
    later = time.time() + 75
    monkeypatch.setattr(clock, "time", lambda: later)
    watched.read(str(tmp_path))
    assert (watched.threshold(("b",)), watched.shortest()) == (None, 0.5)
    later += 30
    watched.read(str(tmp_path))
    assert (watched.threshold(("shop:pay",)), watched.shortest()) == (None, None)


def test_it_ends_when_the_file_is_removed(tmp_path: Path, watched: Override) -> None:
    """Storing none removes it."""
    store(str(tmp_path), [])
    assert list(tmp_path.iterdir()) == []
    watched.read(str(tmp_path))
    assert (watched.threshold(("shop:pay",)), watched.shortest()) == (None, None)


def test_it_is_parsed_only_when_it_has_changed(
    tmp_path: Path, watched: Override, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a second costs one stat."""
    parsed: list[str] = []

    def counted(path: str, owner: int) -> list[Threshold]:
        parsed.append(path)
        return load(path, owner)

    monkeypatch.setattr(overrides, "load", counted)
    for _ in range(3):
        watched.read(str(tmp_path))
    assert not parsed
    store(str(tmp_path), [Threshold(None, 3.0, time.time() + 60)])
    for _ in range(3):
        watched.read(str(tmp_path))
    assert len(parsed) == 1
    assert watched.threshold(()) == 3.0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\x00noise",
        b"[" * 60_000,
        b"{" + b" " * 70_000 + b"}",
        b'{"thresholds":[{"view":null,"slow_after":NaN,"until":1}]}',
        b'{"thresholds":[{"view":null,"slow_after":1e999,"until":1e999}]}',
        {"thresholds": {}},
        {"thresholds": None},
        [],
        "text",
        one(slow_after=-1),
        one(slow_after="1"),
        one(slow_after=None),
        one(slow_after=True),
        one(until="tomorrow"),
        one(until=0),
        one(until=time.time() + 30 * DAY),
        one(until=1e300),
        one(view=7),
        one(view=["a"]),
    ],
)
def test_what_makes_no_sense_is_ignored(tmp_path: Path, data: Any) -> None:
    """As if there was no file."""
    found = write(tmp_path, data)
    assert (found.threshold(("a",)), found.shortest()) == (None, None)


@given(st.binary(max_size=200))
def test_noise_never_raises(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever the bytes."""
    assert write(tmp_path_factory.mktemp("noise"), data).shortest() is None


def test_end_in_a_month_does_not_come_into_force_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on the day before it, and not for a worker that starts then."""
    found = write(tmp_path, one(until=time.time() + 30 * DAY))
    later = time.time() + 29.5 * DAY
    monkeypatch.setattr(clock, "time", lambda: later)
    found.read(str(tmp_path))
    assert found.shortest() is None
    found = Override()
    found.read(str(tmp_path))
    assert found.shortest() is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_can_write_to_is_ignored(tmp_path: Path, mode: int) -> None:
    """Else anybody could fill the disk with reports."""
    assert write(tmp_path, one(), mode).shortest() is None


def test_link_or_pipe_is_ignored(tmp_path: Path) -> None:
    """And nobody waits for the pipe's writer."""
    (tmp_path / "real").write_text(json.dumps(one()))
    (tmp_path / OVERRIDES_FILE).symlink_to(tmp_path / "real")
    found = Override()
    found.read(str(tmp_path))
    assert found.shortest() is None
    (tmp_path / OVERRIDES_FILE).unlink()
    os.mkfifo(tmp_path / OVERRIDES_FILE, 0o600)
    found.read(str(tmp_path))
    assert found.shortest() is None


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_file_of_another_user_is_ignored(tmp_path: Path) -> None:
    """Also when the folder has become writable for them by mistake."""
    write(tmp_path, one())
    os.chown(tmp_path / OVERRIDES_FILE, 65534, 65534)
    found = Override()
    found.read(str(tmp_path))
    assert found.shortest() is None


def test_file_is_for_nobody_else_to_read(tmp_path: Path, watched: Override) -> None:
    """And there is no draft of it left."""
    assert [path.name for path in tmp_path.iterdir()] == [OVERRIDES_FILE]
    assert (tmp_path / OVERRIDES_FILE).stat().st_mode & 0o777 == 0o600


def test_folder_that_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    """The workers' user could have put it there."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError):
        store(str(tmp_path / "link"), [Threshold(None, 1.0, time.time() + 60)])
    assert list((tmp_path / "real").iterdir()) == []
