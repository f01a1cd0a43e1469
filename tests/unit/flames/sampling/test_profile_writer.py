"""The files of sampled requests: written before an event names them, and again at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from slowhound.core.in_flight import in_flight
from slowhound.flames.profile import Profile
from slowhound.flames.sampling import profile_writer
from slowhound.flames.sampling.sampler import Sampler
from slowhound.system import guard, losses
from tests.unit.flames.sampling.conftest import passes


def test_files_beyond_the_queue_are_lost_and_counted(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request whose file will not be written does not name it."""
    monkeypatch.setattr(profile_writer, "MOST_WAITING_PROFILES", 2)
    sampler = many(4)
    sampler._budget._saved = 10.0
    passes(sampler, 1)
    kept = []
    for record in list(in_flight.values()):
        del in_flight[record.number]
        record.took = 10.0
        ended = sampler.ending(record, time.monotonic())
        if ended is not None:
            sampler.writer.put(ended, {"req_id": record.id, "odd": SimpleNamespace()})
            kept.append(record)
        else:
            assert record.flame is None
    assert len(kept) == 2
    assert losses.dropped == 2
    sampler.writer._budget._saved = -1.0
    assert sampler.writer.write(time.monotonic()) != float("inf")
    assert len(sampler.writer._ended) == 2  # no time for them yet
    sampler.stop()
    for record in kept:
        assert sampler.writer.files.read(record.flame or "").event["req_id"] == record.id


def test_file_is_there_before_an_event_can_name_it(many: Callable[[int], Sampler]) -> None:
    """With the samples so far: its worker may be killed at any time."""
    sampler = many(1)
    (record,) = in_flight.values()
    sampler._due = 0.0
    sampler.scan(time.monotonic())
    assert record.flame is None
    sampler.writer.write(time.monotonic())
    assert record.flame is not None
    first = sampler.writer.files.read(record.flame)
    assert first.event == {"req_id": record.id}
    assert first.duration == pytest.approx(sum(each.weight for each in first.samples))
    ended = sampler.ending(record, time.monotonic())
    assert ended is not None
    sampler.writer.put(ended, {"req_id": record.id, "resp_time": 10.0})
    sampler.writer._budget._saved = 1.0
    sampler.writer.write(time.monotonic())
    assert sampler.writer.files.read(record.flame).event["resp_time"] == 10.0
    assert len(os.listdir(os.path.join(sampler.writer.files.directory, "flames"))) == 1


@pytest.mark.parametrize("fails", ["profile_of", "rewrite"])
def test_graph_that_cannot_be_made_leaves_the_first_file(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """The file that the event names is there and can be read."""
    monkeypatch.setattr(guard, "loud", False)
    sampler = many(1)
    passes(sampler, 1)
    (record,) = in_flight.values()
    ended = sampler.ending(record, time.monotonic())
    assert ended is not None
    sampler.writer.put(ended, {})

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    owner = profile_writer if fails == "profile_of" else sampler.writer.files
    monkeypatch.setattr(owner, fails, broken)
    sampler.stop()
    assert record.flame is not None
    assert sampler.writer.files.read(record.flame).event == {"req_id": record.id}


def test_graph_that_cannot_be_written_is_not_named(
    many: Callable[[int], Sampler], tmp_path: Path
) -> None:
    """Here a file is in the place of the folder."""
    (tmp_path / "dir").write_text("no folder")
    sampler = many(2)
    passes(sampler, 3)
    for record in list(in_flight.values()):
        assert record.flame is None
        assert sampler.ending(record, time.monotonic()) is None
        assert record.flame is None
    assert losses.dropped == 2  # tried once for each


def test_request_that_ends_while_its_first_file_is_written_leaves_none(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its event has been made without the name."""
    sampler = many(1)
    (record,) = in_flight.values()
    write = sampler.writer.files.write

    def ends(name: str, profile: Profile) -> bool:
        assert sampler.ending(record, time.monotonic()) is None
        return write(name, profile)

    monkeypatch.setattr(sampler.writer.files, "write", ends)
    passes(sampler, 1)
    assert record.flame is None
    assert os.listdir(os.path.join(sampler.writer.files.directory, "flames")) == []


def test_files_that_a_stopping_process_has_no_time_for_are_counted(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred large ones would take longer than its server waits."""
    monkeypatch.setattr(profile_writer, "PROFILES_WRITTEN_WITHIN", 0.0)
    sampler = many(3)
    passes(sampler, 1)
    for record in in_flight.values():
        ended = sampler.ending(record, time.monotonic())
        assert ended is not None
        sampler.writer.put(ended, {})
    sampler.stop()
    assert losses.dropped == 3
