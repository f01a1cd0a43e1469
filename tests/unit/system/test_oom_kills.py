"""Reads how many processes the kernel killed because memory ran out, in both cgroup versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slowhound.system import oom_kills

V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
V2 = "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 1\n"
NOISE = {
    "nothing": b"",
    "no number": b"oom_kill many\n",
    "no value": b"oom_kill\n",
    "a kernel without the counter": b"oom_kill_disable 0\nunder_oom 0\n",
    "other counters": b"oom_group_kill 3\nmemory_oom_kill 4\n",
    "no text": b"oom_kill \xff\xfe\n",
    "more digits than Python reads": b"oom_kill " + b"9" * 5000,
}


@pytest.mark.parametrize("text", [V1, V2], ids=["v1", "v2"])
def test_count_of_both_versions(tmp_path: Path, text: str) -> None:
    """The counter is `oom_kill`, and none of those with similar names."""
    path = tmp_path / "counters"
    path.write_text(text)
    assert oom_kills.kills(str(path)) == 3


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_noise_is_no_count(tmp_path: Path, noise: bytes) -> None:
    """What holds no such counter gives none."""
    path = tmp_path / "counters"
    path.write_bytes(noise)
    assert oom_kills.kills(str(path)) is None


def test_file_that_cannot_be_read_is_no_count(tmp_path: Path) -> None:
    """Neither does no file, a missing one or a folder."""
    assert oom_kills.kills(None) is None
    assert oom_kills.kills(str(tmp_path / "missing")) is None
    assert oom_kills.kills(str(tmp_path)) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_any_bytes_give_a_count_or_none(tmp_path: Path, data: bytes) -> None:
    """Reading never raises."""
    path = tmp_path / "counters"
    path.write_bytes(data)
    assert isinstance(oom_kills.kills(str(path)), int | None)


class Cgroups:
    """A machine's cgroups in a folder, with /proc/self/cgroup as a file in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = folder / "self"

    def open(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        return open(self.own if path == "/proc/self/cgroup" else path, *args, **kwargs)

    def member(self, lines: str) -> None:
        """What /proc/self/cgroup says."""
        self.own.write_text(lines)

    def counter(self, path: str, text: str) -> str:
        """A file of counters; its path."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroups:
    """An empty machine."""
    found = Cgroups(tmp_path)
    monkeypatch.setattr(oom_kills, "open", found.open, raising=False)
    monkeypatch.setattr(
        oom_kills, "_MOUNTS", {"memory": str(tmp_path / "memory"), "": str(tmp_path / "unified")}
    )
    return found


def test_counter_of_version_1(cgroups: Cgroups) -> None:
    """It is found among the controllers, wherever `memory` stands."""
    cgroups.member("9:name=systemd:/\n4:cpu,memory:/app/web\n0::/\n")
    path = cgroups.counter("memory/app/web/memory.oom_control", V1)
    assert oom_kills.counter_file() == path


def test_counter_of_version_2(cgroups: Cgroups) -> None:
    """The one line of a machine with version 2 alone."""
    cgroups.member("0::/system.slice/web.service\n")
    path = cgroups.counter("unified/system.slice/web.service/memory.events", V2)
    assert oom_kills.counter_file() == path


@pytest.mark.parametrize(
    ("line", "path", "text"),
    [
        ("4:memory:/docker/0123\n", "memory/memory.oom_control", V1),
        ("0::/docker/0123\n", "unified/memory.events", V2),
    ],
)
def test_counter_within_a_container(cgroups: Cgroups, line: str, path: str, text: str) -> None:
    """There the path is the host's, and the container sees its own cgroup as the root."""
    cgroups.member(line)
    expected = cgroups.counter(path, text)
    assert oom_kills.counter_file() == expected


def test_colon_in_a_cgroups_name(cgroups: Cgroups) -> None:
    """Only the first two colons part the fields."""
    cgroups.member("0::/user@1000:web\n")
    path = cgroups.counter("unified/user@1000:web/memory.events", V2)
    assert oom_kills.counter_file() == path


@pytest.mark.parametrize("lines", ["", "noise\n", "0::/\n", "4:cpu:/app\n0::/app\n"])
def test_no_counter(cgroups: Cgroups, lines: str) -> None:
    """No cgroup, the root one, or one without memory: there is no counter."""
    cgroups.member(lines)
    assert oom_kills.counter_file() is None


def test_system_without_cgroups(cgroups: Cgroups) -> None:
    """No /proc/self/cgroup, no counter."""
    assert oom_kills.counter_file() is None
