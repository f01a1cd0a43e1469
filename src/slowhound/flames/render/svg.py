"""Draws a profile as one self-contained SVG file that can be searched and zoomed.

The file has a finished drawing, which is shown where no script runs; the data as JSON; and a script
and a style, the same in all files, which draw from the data. So a page can allow both by their
hashes: ``default-src 'none'; script-src 'sha256-...'; style-src 'sha256-...'``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from xml.sax.saxutils import escape

from slowhound.flames.profile import Profile
from slowhound.flames.render import static_svg
from slowhound.flames.render.names import micros
from slowhound.flames.render.summary import title
from slowhound.flames.render.tree import SHARE_STEPS, STATES, Tree, grow

_STATIC = os.path.join(os.path.dirname(__file__), "static")
_ROUNDING = 2  # microseconds; a longer time between two samples is a gap
_HINT = (
    "Click a box to zoom, or use Tab, the arrow keys and Enter; Escape shows the whole graph again."
)


def _read(*names: str) -> str:
    parts = []
    for name in names:
        with open(os.path.join(_STATIC, name), encoding="utf-8") as file:
            parts.append(file.read())
    return "".join(parts)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@functools.cache
def script() -> str:
    """The script, the same in all files."""
    parts = _read("model.js", "boxes.js", "draw.js", "view.js", "controls.js")
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


@functools.cache
def style() -> str:
    """The style, the same in all files."""
    return _read("flame.css")


def __getattr__(name: str) -> str:
    # Read on first use: a worker that draws nothing does not read the script.
    if name == "SCRIPT_HASH":
        return _hash(script())
    if name == "STYLE_HASH":
        return _hash(style())
    raise AttributeError(name)


def render(profile: Profile, normal: Profile | None = None) -> str:
    """The profile as an SVG file, coloured by how it differs from ``normal`` where that is given.

    The text is ASCII or printable, and well-formed XML for any names in the profile.
    """
    tree = grow(profile, normal)
    drawing = static_svg.draw(tree, profile, normal)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="slowhound-flame" role="group"'
        f' aria-label="Flame graph: {static_svg.attribute(title(profile))}"'
        f' width="{static_svg.WIDTH}" height="{drawing.height}"'
        f' viewBox="0 0 {static_svg.WIDTH} {drawing.height}">\n'
        f"<title>{escape(title(profile))} - flame graph</title>\n"
        f"<style><![CDATA[{style()}]]></style>\n"
        f"{drawing.content}"
        f"<metadata>{_data(tree, profile, normal)}</metadata>\n"
        f"<script><![CDATA[{script()}]]></script>\n"
        "</svg>\n"
    )


def _data(tree: Tree, profile: Profile, normal: Profile | None) -> str:
    """The tree and the samples as JSON in ASCII, without characters of markup."""
    before = [
        number
        for box, weight in enumerate(tree.before_own)
        if weight and normal
        for number in (box, weight)
    ]
    start, runs = _runs(tree, profile)
    text = json.dumps(
        {
            "root": static_svg.root_title(profile),
            "hint": _HINT,
            "functions": tree.functions,
            "parent": tree.parent,
            "function": tree.function,
            "line": tree.line,
            "lines": tree.lines,
            "before": before,
            "start": start,
            "runs": runs,
            "steps": SHARE_STEPS,
        },
        separators=(",", ":"),
    )
    # "<" ends an element, "&" begins an entity, and ">" could end a CDATA section around it all.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _runs(tree: Tree, profile: Profile) -> tuple[int, list[int]]:
    """Where the first sample begins, and all runs of equal samples: gap before, time, box, state.

    The samples of merged requests follow each other without gaps, as those have no common time.
    """
    runs: list[int] = []
    alone = profile.requests == 1 and bool(profile.samples)
    start = micros(profile.samples[0].at - profile.samples[0].weight) if alone else 0
    end = start
    for sample in profile.samples:
        # From absolute times, so that rounding errors do not add up.
        begin = micros(sample.at - sample.weight)
        weight = micros(sample.at) - begin if alone else micros(sample.weight)
        gap = begin - end if alone and begin - end > _ROUNDING else 0
        box, state = tree.box_of[sample.stack], STATES.index(sample.state)
        if not weight:
            continue
        end += gap + weight
        if runs and not gap and runs[-2:] == [box, state]:
            runs[-3] += weight
        else:
            runs += gap, weight, box, state
    return start, runs
