"""Merges profiles into one, which shows where the time of a view or of a group went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slowhound.flames.profile import Accuracy, Profile, ProfileFrame, ProfileSample


def merge(profiles: Sequence[Profile]) -> Profile:
    """One profile of several: their weights add up, and they follow each other in time.

    ``event`` keeps the fields that have the same value in all of them.

    Raises:
        ValueError: there are none.
    """
    if not profiles:
        raise ValueError("no profiles to merge")
    if len(profiles) == 1:
        return profiles[0]
    table = _Table()
    before = 0.0
    for profile in profiles:
        table.add(profile, before)
        before += profile.duration
    return Profile(
        event=_shared([profile.event for profile in profiles]),
        started=min(profile.started for profile in profiles),
        duration=before,
        interval=max(profile.interval for profile in profiles),
        frames=list(table.frames),
        stacks=[list(stack) for stack in table.stacks],
        samples=table.samples,
        accuracy=_accuracy(profiles, before),
        requests=sum(profile.requests for profile in profiles),
    )


class _Table:
    """Frames and stacks, each once, in the order in which they were added."""

    def __init__(self) -> None:
        self.frames: dict[ProfileFrame, int] = {}
        self.stacks: dict[tuple[int, ...], int] = {}
        self.samples: list[ProfileSample] = []

    def add(self, profile: Profile, before: float) -> None:
        frames = [self.frames.setdefault(each, len(self.frames)) for each in profile.frames]
        stacks = [
            self.stacks.setdefault(tuple(frames[each] for each in stack), len(self.stacks))
            for stack in profile.stacks
        ]
        self.samples += [
            ProfileSample(before + each.at, each.weight, stacks[each.stack], each.state)
            for each in profile.samples
        ]


def _shared(events: list[dict[str, object]]) -> dict[str, object]:
    first, *rest = events
    return {
        name: value
        for name, value in first.items()
        if all(name in each and each[name] == value for each in rest)
    }


def _accuracy(profiles: Sequence[Profile], duration: float) -> Accuracy:
    each = [profile.accuracy for profile in profiles]
    return Accuracy(
        due=sum(one.due for one in each),
        taken=sum(one.taken for one in each),
        longest_gap=max(one.longest_gap for one in each),
        unsampled=sum(one.unsampled for one in each),
        left_out=sum(one.left_out for one in each),
        error=_error(profiles, duration),
        ways=_ways(one.ways for one in each),
    )


def _error(profiles: Sequence[Profile], duration: float) -> float | None:
    """Squares add up, because the errors of requests are independent."""
    squares = 0.0
    for profile in profiles:
        if profile.accuracy.error is None:
            return None
        squares += (profile.accuracy.error * profile.duration) ** 2
    return min(squares**0.5 / duration, 1.0) if duration > 0 else None


def _ways(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in counts:
        for way, count in one.items():
            found[way] = found.get(way, 0) + count
    return found
