"""The files of profiles, and merged profiles."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path

import pytest

from slowhound.flames import profile as profiles
from slowhound.flames.files import OURS, FlameFiles
from slowhound.flames.merge import merge
from slowhound.flames.profile import UNSAMPLED, Accuracy, Profile, ProfileFrame, ProfileSample
from slowhound.system import losses

VIEW, QUERY, OTHER = ProfileFrame("view"), ProfileFrame("SELECT ?", kind="sql"), ProfileFrame("b")


def profile(**fields: object) -> Profile:
    made = {
        "event": {"resp_view": "shop", "req_id": "1"},
        "started": 10.0,
        "duration": 3.0,
        "interval": 0.05,
        "frames": [VIEW, QUERY],
        "stacks": [[0], [0, 1]],
        "samples": [ProfileSample(1.0, 1.0, 0), ProfileSample(3.0, 2.0, 1, "waiting")],
        "accuracy": Accuracy(60, 50, 0.2, 0.5, 10, 0.3, {"hound": 50}),
        **fields,
    }
    return Profile(**made)


@pytest.fixture
def files(tmp_path: Path) -> FlameFiles:
    return FlameFiles(str(tmp_path / "dir"), 10**6)


def test_profile_is_read_as_it_was_written(files: FlameFiles) -> None:
    """Under a name of ours, in a folder and a file that no other user can read."""
    name = files.name(7)
    assert files.write(name, profile())
    assert files.read(name) == profile()
    path = Path(files.directory, "flames", name)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_name_that_is_not_utf_8_is_escaped(files: FlameFiles) -> None:
    """A path, a function or a statement may have any bytes; its event names the graph."""
    odd = "caf\udce9"
    made = profile(frames=[ProfileFrame(odd, odd), QUERY], event={odd: [odd], "req_id": odd})
    name = files.name(1)
    assert files.write(name, made)
    read = files.read(name)
    assert read.frames == [ProfileFrame("caf\\udce9", "caf\\udce9"), QUERY]
    assert read.event == {"caf\\udce9": ["caf\\udce9"], "req_id": "caf\\udce9"}
    assert read.samples == made.samples


def test_unsampled_time_keeps_its_former_name_in_files() -> None:
    """Older versions read these files, and refuse a state that they do not know."""
    made = profile(samples=[ProfileSample(1.0, 1.0, 0, UNSAMPLED)])
    data = json.loads(gzip.decompress(profiles.dump(made)))
    assert data["accuracy"]["blind"] == 0.5
    assert "unsampled" not in data["accuracy"]
    assert data["samples"] == [[1.0, 1.0, 0, "blind"]]


@pytest.mark.parametrize(
    "name",
    [
        "../events/1.jsonl",
        "/etc/passwd",
        "flame_20260101T000000Z_1_1_00000000.flame.json.gz/../x",
        "flame_20260101T000000Z_1_1_0000000g.flame.json.gz",
        "flame_20260101T000000Z_1_1_00000000.flame.json.gz\n",
        "flame_20260101T000000Z_1_1_00000000.svg",
        "",
    ],
)
def test_only_names_of_ours_are_files(files: FlameFiles, name: str) -> None:
    """A name is never a path, and no other file is read or written."""
    with pytest.raises(ValueError):
        files.read(name)
    with pytest.raises(ValueError):
        files.write(name, profile())
    assert not os.path.exists(files.directory)


def test_symbolic_link_is_not_followed(files: FlameFiles, tmp_path: Path) -> None:
    """Another file cannot be put in the place of a profile."""
    name = files.name(1)
    files.write(name, profile())
    path = Path(files.directory, "flames", name)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError) as caught:
        files.read(name)
    assert caught.value.errno == errno.ELOOP


def test_existing_file_stays(files: FlameFiles) -> None:
    """Nothing is overwritten; a failed write is counted."""
    name = files.name(1)
    files.write(name, profile())
    assert files.write(name, profile(duration=9.0)) is False
    assert files.read(name).duration == 3.0
    assert losses.dropped == 1


def test_full_disk_leaves_no_partial_file(
    files: FlameFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, and the next one is written when there is space again."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    files.write(files.name(1), profile())
    name = files.name(2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert files.write(name, profile()) is False
    assert losses.dropped == 1
    assert files.write(name, profile())


def test_oldest_files_and_drawings_are_removed_first(tmp_path: Path) -> None:
    """All together stay within the cap, and other files are left alone."""
    files = FlameFiles(str(tmp_path / "dir"), 1000)
    first = files.name(1)
    files.write(first, profile())
    folder = tmp_path / "dir" / "flames"
    stem = first.removesuffix(".flame.json.gz")
    for beside in (f"{stem}.svg", f"{stem}.speedscope.json", "mine.svg"):
        (folder / beside).write_bytes(b"x" * 900)
        os.utime(folder / beside, (1, 1))
    os.utime(folder / first, (1, 1))
    files._cap.next_check = 0.0
    last = files.name(2)
    files.write(last, profile())
    assert {each.name for each in folder.iterdir()} <= {first, last, "mine.svg"}
    assert {last, "mine.svg"} <= {each.name for each in folder.iterdir()}


def test_names_are_unique(files: FlameFiles) -> None:
    """Also for the same request in the same second."""
    names = {files.name(1) for _ in range(100)}
    assert len(names) == 100
    assert all(OURS.fullmatch(name) for name in names)


def test_merged_weights_add_up() -> None:
    """The same stack of two requests is one, with the time of both."""
    other = profile(
        event={"resp_view": "shop", "req_id": "2"},
        started=5.0,
        duration=1.0,
        frames=[OTHER, VIEW, QUERY],
        stacks=[[1, 2], [0]],
        samples=[ProfileSample(0.5, 0.5, 0, "waiting"), ProfileSample(1.0, 0.5, 1, UNSAMPLED)],
    )
    both = merge([profile(), other])
    assert both.requests == 2
    assert both.event == {"resp_view": "shop"}
    assert (both.started, both.duration) == (5.0, 4.0)
    named = [
        ([both.frames[each].name for each in both.stacks[sample.stack]], sample.weight, sample.at)
        for sample in both.samples
    ]
    assert named == [
        (["view"], 1.0, 1.0),
        (["view", "SELECT ?"], 2.0, 3.0),
        (["view", "SELECT ?"], 0.5, 3.5),
        (["b"], 0.5, 4.0),
    ]
    assert len(both.stacks) == 3
    assert [sample.state for sample in both.samples] == ["running", "waiting", "waiting", UNSAMPLED]


def test_merged_accuracy_is_that_of_all_profiles() -> None:
    """Counts add up; the longest gap is the longest of all; errors partly cancel out."""
    both = merge([profile(), profile()])
    assert both.accuracy.due == 120
    assert both.accuracy.left_out == 20
    assert both.accuracy.longest_gap == 0.2
    assert both.accuracy.ways == {"hound": 100}
    assert both.accuracy.error == pytest.approx(0.3 / 2**0.5)
    assert merge([profile(), profile(accuracy=Accuracy())]).accuracy.error is None


def test_merge_of_nothing_is_refused() -> None:
    """There is no graph without a request."""
    with pytest.raises(ValueError):
        merge([])


def test_merge_of_merged_counts_all_requests() -> None:
    """A day can be merged from its hours."""
    assert merge([merge([profile(), profile()]), profile()]).requests == 3
