"""Many requests at once are sampled within limits, and requests may end at any time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.flames.sampling import sampler as module
from slowhound.flames.sampling.sampler import Sampler
from slowhound.flames.sampling.schedule import BURST, Budget
from slowhound.system import guard
from tests.unit.flames.sampling.conftest import passes


def test_hundreds_at_once_are_sampled_in_turns_within_the_time_of_a_pass(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is forgotten, none is sampled again before all were; omissions are counted."""
    sampler = many(500)
    monkeypatch.setattr(module, "LONGEST_PASS", 0.0)  # so each pass has one or two samples
    made = 0
    while any(each.taken == 0 for each in sampler._samples.values()) or not made:
        assert made <= 500, "some were never sampled"
        sampler._budget._saved = 10.0  # this tests the turns
        passes(sampler, 1)
        made += 1
    taken = [samples.taken for samples in sampler._samples.values()]
    assert max(taken) - min(taken) <= 1
    assert sum(samples.left_out for samples in sampler._samples.values()) > 0


def test_without_budget_samples_are_left_out_and_counted(many: Callable[[int], Sampler]) -> None:
    """A sample that is not taken is counted as due."""
    sampler = many(3)
    sampler._budget._saved = -1000.0
    passes(sampler, 4)
    assert [(each.taken, each.left_out) for each in sampler._samples.values()] == [(0, 4)] * 3


def test_number_of_sampled_requests_is_limited(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others do not name a file that will not be there."""
    monkeypatch.setattr(module, "MOST_REQUESTS", 5)
    sampler = many(8)
    passes(sampler, 2)
    assert sum(record.flame is not None for record in in_flight.values()) == 5


def test_entries_have_a_limit(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it samples are left out, and counted."""
    sampler = many(2)
    monkeypatch.setattr(module, "MOST_ENTRIES_OF_ALL", 0)
    passes(sampler, 3)
    assert [each.left_out for each in sampler._samples.values()] == [3, 3]


def test_sampler_forgets_what_has_ended(many: Callable[[int], Sampler]) -> None:
    """Also a request for which `ending` was not called."""
    sampler = many(3)
    passes(sampler, 1)
    in_flight.clear()
    passes(sampler, 1)
    assert not sampler._samples
    assert not sampler._keys


def test_work_after_the_last_byte_is_in_no_graph(many: Callable[[int], Sampler]) -> None:
    """It does not count as time of the response."""
    sampler = many(1)
    (record,) = in_flight.values()
    passes(sampler, 1)
    record.finished_sending()
    passes(sampler, 3)
    record.ended_after(record.age())
    ended = sampler.ending(record, time.monotonic())
    assert ended is not None
    assert ended.samples.taken == 1
    assert ended.samples.duration <= record.took < record.took + record.after


def test_open_websocket_is_not_sampled(many: Callable[[int], Sampler]) -> None:
    """It is refused like all that is not watched."""
    sampler = many(2)
    sampler._wanted = lambda record: False
    passes(sampler, 1)
    assert list(sampler._samples.values()) == [None, None]


def test_request_without_samples_has_no_profile(many: Callable[[int], Sampler]) -> None:
    """An empty graph is of no use."""
    sampler = many(1)
    (record,) = in_flight.values()
    assert sampler.ending(record, time.monotonic()) is None
    assert record.flame is None


def test_request_that_ends_while_its_sampling_begins_names_no_file(
    many: Callable[[int], Sampler],
) -> None:
    """Its thread got no file name, so no file is written."""
    sampler = many(1)
    (record,) = in_flight.values()

    def ends(record: Record) -> bool:
        in_flight.clear()
        record.done = True
        assert sampler.ending(record, time.monotonic()) is None
        return True

    sampler._wanted = ends
    passes(sampler, 1)
    assert record.flame is None
    assert not sampler._samples


class TakenAtOnce(dict[int, Any]):
    """A key that was found is gone a moment later: another thread has removed it."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.pop(key, None)  # type: ignore[call-overload]
        return found


def test_request_that_ends_during_a_pass_does_not_break_it(
    many: Callable[[int], Sampler],
) -> None:
    """The others are sampled."""
    sampler = many(2)
    passes(sampler, 1)
    sampler._samples = sampler.writer._samples = TakenAtOnce(sampler._samples)
    passes(sampler, 1)
    assert guard.total == 0


def test_graph_on_demand_keeps_its_name(many: Callable[[int], Sampler]) -> None:
    """A request that is profiled on demand is not sampled automatically as well."""
    sampler = many(1)
    (record,) = in_flight.values()
    record.flame = "on-demand"
    passes(sampler, 2)
    assert sampler.ending(record, time.monotonic()) is None
    assert record.flame == "on-demand"


def test_budget_is_a_share_of_the_time_that_passes() -> None:
    """Savings are limited, and a debt is paid off before more work is done."""
    budget = Budget(0.01, 0.0)
    assert budget.left(0.0)
    budget.spend(BURST + 0.1)
    assert not budget.left(9.0)
    assert budget.left(10.5)
    assert budget.left(1e6)
    budget.spend(BURST)
    assert not budget.left(1e6)


def test_request_that_gets_a_graph_on_demand_meanwhile_has_no_other(
    many: Callable[[int], Sampler],
) -> None:
    """It was slow before it was known that its client asks for one; its event names that one."""
    sampler = many(1)
    passes(sampler, 2)
    (record,) = in_flight.values()
    assert record.flame is not None
    record.flame = "asked-for"
    assert sampler.ending(record, time.monotonic()) is None
    assert record.flame == "asked-for"
