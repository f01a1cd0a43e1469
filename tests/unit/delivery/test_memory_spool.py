"""Reports that the disk does not take wait in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slowhound.delivery import memory_spool
from slowhound.delivery.item import DeliveryItem
from slowhound.delivery.memory_spool import MemoryBackedSpool
from slowhound.delivery.spool import Spool
from slowhound.system import losses
from tests.harness.reports import slow_report


@pytest.fixture
def spool(tmp_path: Path) -> MemoryBackedSpool:
    losses.reset()
    return MemoryBackedSpool(str(tmp_path / "dir"))


@contextmanager
def full_disk() -> Iterator[None]:
    """The disk takes nothing in this block."""

    def write(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Spool, "_write", write)
        yield


def held_numbers(spool: MemoryBackedSpool) -> list[str]:
    found = []
    for name in spool.names(".held"):
        with spool.claim(name) as claimed:
            assert claimed is not None
            found.append(claimed.item.report.id)
    return found


def test_item_in_memory_is_claimed_marked_and_removed(spool: MemoryBackedSpool) -> None:
    """Like an item on the disk; the sinks that have it are known at the next try."""
    with full_disk():
        name = spool.put(DeliveryItem(slow_report()))
    later = spool.put(DeliveryItem(slow_report(2)))
    assert spool.names(".due") == [name, later]
    with spool.claim(name) as claimed:
        assert claimed is not None
        claimed.mark_delivered("a sink")
    with spool.claim(name) as claimed:
        assert claimed is not None
        assert claimed.delivered == {"a sink"}
    spool.remove(name)
    assert spool.names() == [later]
    assert losses.dropped == 0


def test_newest_report_that_was_held_back_is_kept_wherever_it_is(
    spool: MemoryBackedSpool,
) -> None:
    """On the disk, then in memory, then on the disk again: there is always only one."""
    spool.put_held(slow_report(1))
    with full_disk():
        spool.put_held(slow_report(2))
    assert held_numbers(spool) == ["request-2.slow"]
    spool.put_held(slow_report(3))
    assert held_numbers(spool) == ["request-3.slow"]
    spool.drop_held(slow_report().fingerprint)
    assert spool.names() == []


def test_oldest_item_goes_when_the_memory_is_full(
    spool: MemoryBackedSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted as lost; a report that was held back is not, its group has counted it."""
    monkeypatch.setattr(memory_spool, "MEMORY_LIMIT", 3)
    with full_disk():
        spool.put_held(slow_report(0))
        names = [spool.put(DeliveryItem(slow_report(number))) for number in range(1, 6)]
    assert spool.names() == names[-3:]
    assert losses.dropped == 2
