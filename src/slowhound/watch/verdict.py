"""Sums up the samples of one slow request in words for a person on call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from slowhound.core.observations import Sample
from slowhound.event.formats import one_line
from slowhound.frames.frames import Stack, innermost
from slowhound.system.wait_states import ThreadState

VERDICT_PLACES = 3
PLACE_LIMIT = 200


@dataclass(frozen=True)
class Verdict:
    """``word`` is stuck, slow or unknown; ``text`` is one line, or two with a deadlock."""

    word: str
    text: str


def verdict(
    samples: Sequence[Sample], deadlock: str | None = None, gil_hold: float = 0.0
) -> Verdict:
    """What the samples of one request show.

    Args:
        samples: oldest first.
        deadlock: the deadlock that the request is part of, in a line.
        gil_hold: seconds for which the request's thread held the GIL, as it seems.

    Returns:
        ``stuck`` when the innermost frames were the same in each of two or more samples and no
        part of the response was sent in between, ``slow`` when not, ``unknown`` when there were
        fewer samples.
    """
    if len(samples) < 2:
        word, text = "unknown", _single(samples)
    elif len({each.point for each in samples}) == 1:
        word, text = "stuck", _stuck(samples)
    else:
        word, text = "slow", f"slow: {_shares(samples)}; estimated from {len(samples)} samples"
        text += _moved(samples)
    if gil_hold:
        text += f"; it held the GIL for about {_seconds(gil_hold)} s (estimate)"
    text += _cpu(samples)
    return Verdict(word, f"{text}\ndeadlock: {one_line(deadlock)}" if deadlock else text)


def _single(samples: Sequence[Sample]) -> str:
    if not samples:
        return "unknown: this process has taken no sample"
    last = samples[-1]
    waiting = f", {_doing(last.waiting)}" if last.waiting else ""
    return f"unknown: one sample, after {_seconds(last.age)} s, in {place(last.stack)}{waiting}"


def _stuck(samples: Sequence[Sample]) -> str:
    first, last = samples[0], samples[-1]
    text = f"stuck for about {_seconds(last.age - first.age)} s in {place(last.stack)}"
    text += f", the same in {len(samples)} samples"
    waits = Counter(each.waiting for each in samples if each.waiting)
    if waits:
        most, times = waits.most_common(1)[0]
        text += f", {_doing(most)}"
        text += f" (in {times} of them)" if times < len(samples) else ""
    return text


def _moved(samples: Sequence[Sample]) -> str:
    """For how long it has been in the last place, when more than one sample has that."""
    same = samples[-1].point
    count = 1
    while samples[-count - 1].point == same:
        count += 1
    if count == 1:
        return ""
    took = samples[-1].age - samples[-count].age
    return f", the last {count} of them, over {_seconds(took)} s, in the same place"


def _shares(samples: Sequence[Sample]) -> str:
    """Where the time went: the time before a sample counts for the place in that sample."""
    weights: dict[str, float] = {}
    before = 0.0
    for each in samples:
        where = place(each.stack)
        weights[where] = weights.get(where, 0.0) + max(each.age - before, 0.0)
        before = each.age
    whole = sum(weights.values()) or 1.0
    most = sorted(weights.items(), key=lambda each: -each[1])[:VERDICT_PLACES]
    parts = [f"{100 * time / whole:.0f} % in {where}" for where, time in most]
    rest = len(weights) - VERDICT_PLACES
    return ", ".join(parts) + (f", the rest in {rest} more" if rest > 0 else "")


def _cpu(samples: Sequence[Sample]) -> str:
    """The CPU time between the first and last sample that have it; measured, no estimate."""
    known = [(each.age, each.cpu) for each in samples if each.cpu is not None]
    if len(known) < 2 or known[-1][0] <= known[0][0]:
        return ""
    used, took = known[-1][1] - known[0][1], known[-1][0] - known[0][0]
    return f"; on the CPU for {_seconds(max(used, 0.0))} of {_seconds(took)} s"


def _doing(state: ThreadState) -> str:
    text = one_line(str(state))
    return text if state.runs else f"waiting: {text}"


def place(stack: Stack) -> str:
    """In a line: the innermost frame of the application, of a library when there is none."""
    frame = innermost(stack)
    return one_line(str(frame))[:PLACE_LIMIT] if frame else "no frame"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
