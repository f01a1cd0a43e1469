"""Exports a profile for speedscope, https://www.speedscope.app/file-format-schema.json.

The file has one ``sampled`` profile with weights in seconds, in the order of the samples:
speedscope merges by itself. The viewer serves the application from
``viewer/static/slowhound/speedscope``.
"""

from __future__ import annotations

import json
from typing import Any

from slowhound.flames.profile import Profile
from slowhound.flames.render.names import Function, functions, with_marks
from slowhound.flames.render.summary import title

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def render(profile: Profile) -> str:
    """The profile as JSON, in ASCII."""
    frames, marks = with_marks(profile)
    found = functions(frames)
    lines = _only_lines(profile, found.of)
    stacks = [[found.of[frame] for frame in stack] for stack in profile.stacks]
    samples: list[list[int]] = []
    weights: list[float] = []
    last: tuple[int, str] | None = None
    for sample in profile.samples:
        if last == (sample.stack, sample.state):
            weights[-1] += sample.weight
            continue
        last = sample.stack, sample.state
        mark = [found.of[marks[sample.state]]] if sample.state in marks else []
        samples.append(stacks[sample.stack] + mark)
        weights.append(max(0.0, sample.weight))
    rounded = [round(weight, 6) for weight in weights]
    samples = [sample for sample, weight in zip(samples, rounded, strict=True) if weight > 0]
    weights = [weight for weight in rounded if weight > 0]
    name = title(profile)
    start = _start(profile)
    return json.dumps(
        {
            "$schema": SCHEMA,
            "exporter": "slowhound",
            "name": name,
            "activeProfileIndex": 0,
            "shared": {
                "frames": [_frame(each, lines.get(at)) for at, each in enumerate(found.all)]
            },
            "profiles": [
                {
                    "type": "sampled",
                    "name": name,
                    "unit": "seconds",
                    "startValue": start,
                    "endValue": start + sum(weights),
                    "samples": samples,
                    "weights": weights,
                }
            ],
        },
        separators=(",", ":"),
    )


def _start(profile: Profile) -> float:
    """Seconds from the request's start to the first sample; 0 for several requests together."""
    if profile.requests != 1 or not profile.samples:
        return 0.0
    first = profile.samples[0]
    return round(max(0.0, first.at - first.weight), 6)


def _only_lines(profile: Profile, of: list[int]) -> dict[int, int]:
    """The line of each function that was sampled in one line only."""
    lines: dict[int, int] = {}
    for at, frame in enumerate(profile.frames):
        known = lines.setdefault(of[at], frame.line)
        if known != frame.line:
            lines[of[at]] = 0
    return {at: line for at, line in lines.items() if line > 0}


def _frame(each: Function, line: int | None) -> dict[str, Any]:
    frame: dict[str, Any] = {"name": each.name}
    if each.file:
        frame["file"] = each.file
        if line:
            frame["line"] = line
    return frame
