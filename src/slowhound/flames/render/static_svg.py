"""Draws what an SVG file shows without its script: with scripts off, in print, as an image.

It has the style of ``static/draw.js``, which replaces it by a drawing for the size of the window.
"""

from __future__ import annotations

import heapq
import textwrap
from typing import NamedTuple
from xml.sax.saxutils import escape

from slowhound.flames.profile import Profile
from slowhound.flames.render import summary
from slowhound.flames.render.tree import STATE_NAMES, Tree, share_points, share_step

WIDTH = 1200
PAD = 14
ROW = 19
INNER = WIDTH - 2 * PAD
CHARACTER = 7.23  # of the boxes' 12 px monospaced font
# Boxes that have elements of their own; those narrower than a pixel, or beyond the limit, are one
# path.
MOST_DRAWN = 1000
NARROWEST = 1.0
NARROWEST_PARTS = 6.0

_STATE_KEYS = (
    ("s-running", "running"),
    ("s-waiting", "waiting for something outside"),
    ("s-starved", "starved: wanted to run and could not"),
    ("s-unsampled", "unsampled: no sample could be taken"),
)
_KIND_KEYS = tuple(
    (f"k-{kind}", text)
    for kind, text in (
        ("app", "your code"),
        ("library", "library"),
        ("middleware", "middleware"),
        ("sql", "SQL"),
        ("template", "template"),
        ("cache", "cache"),
        ("http", "outbound"),
        ("wait", "waits for"),
        ("note", "note"),
    )
)
_DIFF_KEYS = (
    ("d-less3", "-15"),
    ("d-less2", "-5"),
    ("d-less1", "-1"),
    ("d-same", "as normal"),
    ("d-more1", "+1"),
    ("d-more2", "+5"),
    ("d-more3", "+15 points of share against normal"),
)
_HATCH = (
    '<defs><pattern id="slowhound-hatch" width="6" height="6" patternUnits="userSpaceOnUse"'
    ' patternTransform="rotate(45)"><rect class="hatch-ground" width="6" height="6"/>'
    '<path class="hatch-line" d="M0,0V6"/></pattern></defs>\n'
    '<rect class="paper" width="100%" height="100%"/>\n'
)


class Drawing(NamedTuple):
    """Markup, and its height in pixels."""

    content: str
    height: int


def root_title(profile: Profile) -> str:
    """The name of the outermost box."""
    return "the request" if profile.requests == 1 else f"{profile.requests:,} requests"


def attribute(text: str) -> str:
    """``text`` escaped for an attribute in double quotes."""
    return escape(text, {'"': "&quot;"})


def draw(tree: Tree, profile: Profile, normal: Profile | None) -> Drawing:
    """Header, legend, boxes and footer, one below the other."""
    by_default = "diff" if normal else "state"
    out = [_HATCH]
    y = PAD
    for paragraph in _top(profile):
        out.append(paragraph.markup(y))
        y += paragraph.height + 5
    y += 4
    for colours, keys in (("state", _STATE_KEYS), ("kind", _KIND_KEYS), ("diff", _DIFF_KEYS)):
        if normal or colours != "diff":
            hidden = "" if colours == by_default else ' display="none"'
            items = [_key(*each) for each in keys]
            legend = _Paragraph("legend", 16, 20, items, f' data-colours="{colours}"{hidden}')
            out.append(legend.markup(y))
    y += 26
    boxes, rows = _boxes(tree, profile, by_default)
    out.append(f'<g class="graph" transform="translate({PAD},{y})">\n{boxes}</g>\n')
    y += rows * ROW + 12
    foot = _foot(tree, profile, normal)
    out.append(foot.markup(y))
    return Drawing("".join(out), y + foot.height + PAD)


class _Item(NamedTuple):
    markup: str
    width: float  # an estimate; the script measures


class _Paragraph(NamedTuple):
    """Items that wrap like words; ``row`` is the height of a line."""

    name: str
    gap: int
    row: int
    items: list[_Item]
    extra: str = ""

    @property
    def places(self) -> list[tuple[float, int]]:
        x, y, places = 0.0, 0, []
        for item in self.items:
            if x and x + item.width > INNER:
                x, y = 0.0, y + self.row
            places.append((x, y))
            x += item.width + self.gap
        return places

    @property
    def height(self) -> int:
        return self.places[-1][1] + self.row if self.items else 0

    def markup(self, y: int) -> str:
        inside = "".join(
            f'<g transform="translate({x:.1f},{down})">{item.markup}</g>'
            for item, (x, down) in zip(self.items, self.places, strict=True)
        )
        return (
            f'<g class="flow {self.name}" data-gap="{self.gap}" data-row="{self.row}"{self.extra}'
            f' transform="translate({PAD},{y})">{inside}</g>\n'
        )


def _top(profile: Profile) -> list[_Paragraph]:
    title = [_text(summary.title(profile)[:80], "title value")]
    # One item for each line; the script splits them into words, to fit its window.
    verdict = [_text(line) for line in textwrap.wrap(summary.verdict(profile), 125)]
    facts = [_fact(fact) for fact in summary.facts(profile)]
    found = (
        _Paragraph("top", 8, 28, title),
        _Paragraph("verdict", 4, 20, verdict),
        _Paragraph("facts", 18, 20, facts),
    )
    return [each for each in found if each.items]


def _foot(tree: Tree, profile: Profile, normal: Profile | None) -> _Paragraph:
    facts = summary.accuracy(profile, normal)
    if tree.left_out:
        cut = f"boxes under {summary.seconds(tree.left_out / 1e6)}"
        facts.append(summary.Fact("left out of the drawing", cut))
    return _Paragraph("foot", 18, 18, [_fact(fact) for fact in facts])


def _text(text: str, name: str = "value") -> _Item:
    return _Item(f'<text class="{name}" y="14">{escape(text)}</text>', INNER)


def _wide(text: str) -> float:
    """An upper estimate of the width of ``text`` in a proportional font of 13 px."""
    narrow = sum(each in " .,:;'|!()[]ijltfrI/-" for each in text)
    return narrow * 5.2 + (len(text) - narrow) * 8.4


def _fact(fact: summary.Fact) -> _Item:
    name = f'<tspan class="name">{escape(fact.name)} </tspan>'
    value = f'<tspan class="value">{escape(fact.value)}</tspan>'
    width = _wide(f"{fact.name} {fact.value}")
    return _Item(f'<text y="14">{name}{value}</text>', width)


def _key(colour: str, text: str) -> _Item:
    sample = f'<rect class="{colour}" y="3" width="14" height="13" rx="2"/>'
    return _Item(f'{sample}<text x="20" y="14">{escape(text)}</text>', 20 + _wide(text))


def _boxes(tree: Tree, profile: Profile, colours: str) -> tuple[str, int]:
    """The boxes, the widest of each parent first, and their number of rows."""
    total = [sum(each) for each in tree.total]
    scale = INNER / max(1, total[0])
    left = _lefts(tree, total)
    wide = [box for box, weight in enumerate(total) if weight * scale >= NARROWEST]
    drawn = set(heapq.nlargest(MOST_DRAWN, wide, key=total.__getitem__)) or {0}
    rows = 1 + max(tree.depth[box] for box in drawn)
    narrow = []
    for box, weight in enumerate(total):
        if weight and box not in drawn and tree.depth[box] < rows and weight * scale >= 0.1:
            x, width = left[box] * scale, weight * scale
            narrow.append(f"M{x:.1f},{tree.depth[box] * ROW}h{width:.1f}v{ROW - 1}h-{width:.1f}z")
    out = [f'<path class="small" d="{"".join(narrow)}"/>\n'] if narrow else []
    for box in sorted(drawn):
        function = tree.functions[tree.function[box]]
        name = function.name if box else root_title(profile)
        share, parts = _share_text(tree, box, total, colours)
        x, y = left[box] * scale, tree.depth[box] * ROW
        width = max(0.6, total[box] * scale - 0.6)
        hover = f"{function.title if box else name}, {summary.seconds(total[box] / 1e6)}, {share}"
        lib = " lib" if function.kind == "library" else ""
        out.append(
            f'<g class="box{lib}"><title>{escape(hover)}</title>'
            f"{_parts(parts, x, y, width)}{_label(name, share, x, y, width)}</g>\n"
        )
    return "".join(out), rows


def _share_text(
    tree: Tree, box: int, total: list[int], colours: str
) -> tuple[str, list[tuple[str, float]]]:
    """A box's share or difference as text, and the colours of its parts."""
    share = f"{100 * total[box] / max(1, total[0]):.1f} %"
    if colours != "diff":
        return share, _states(tree.total[box], INNER * total[box] / max(1, total[0]))
    points = share_points(total[box], total[0], tree.before[box], tree.before[0])
    return (f"{points:+.1f}" if box else share), [(f"d-{share_step(points)}", 1.0)]


def _states(times: list[int], width: float) -> list[tuple[str, float]]:
    """The states of a box side by side, or the longest one in a narrow box."""
    if width < NARROWEST_PARTS or not any(times):
        return [(f"s-{STATE_NAMES[times.index(max(times))]}", 1.0)]
    parts = zip(STATE_NAMES, times, strict=True)
    return [(f"s-{name}", time / sum(times)) for name, time in parts if time]


def _lefts(tree: Tree, total: list[int]) -> list[int]:
    """The left edge of each box: inside its parent, the widest first."""
    left = [0] * len(total)
    free = [0] * len(total)
    inside = sorted(
        range(1, len(total)),
        key=lambda box: (tree.parent[box], -total[box], tree.function[box]),
    )
    for box in inside:
        up = tree.parent[box]
        left[box] = free[box] = free[up]
        free[up] += total[box]
    return left


def _parts(parts: list[tuple[str, float]], x: float, y: int, width: float) -> str:
    out = []
    for name, share in parts:
        part = width * share
        if part >= 0.3 or len(parts) == 1:
            out.append(
                f'<rect class="{name}" x="{x:.2f}" y="{y}" width="{part:.2f}" height="{ROW - 1}"/>'
            )
        x += part
    return "".join(out)


def _label(name: str, share: str, x: float, y: int, width: float) -> str:
    room = int((width - 8) / CHARACTER)
    if room < 3:
        return ""
    span = ""
    if len(name) + len(share) + 2 <= room:
        span = f'<tspan class="share" dx="8">{share}</tspan>'
    # East Asian characters are about twice as wide.
    wide = sum(each > "\u02ff" and not "\u2000" <= each <= "\u206f" for each in name)
    if len(name) + wide > room:
        name = f"{name[: max(1, (room - 1) // (2 if wide else 1))]}…"
    return f'<text x="{x + 4:.2f}" y="{y + (ROW - 1) / 2 + 4.2:.1f}">{escape(name)}{span}</text>'
