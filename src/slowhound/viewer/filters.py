"""How values are shown: the filters and tags of the viewer's templates, and nothing else.

What an event holds came from the network or from an application. Templates escape every value;
``text`` also shows what a page would obey or hide: control characters and marks that turn the
direction of writing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from slowhound.event.fields import FIELDS
from slowhound.viewer.query import Asked

register = template.Library()

LONGEST = 20_000
NONE = "\N{EN DASH}"
MEANINGS = {field.name: field for field in FIELDS}
SIZES = ("B", "kB", "MB", "GB", "TB")
# What a request's time is made of, in the order in which it is drawn.
PARTS = (
    ("queue", "queue"),
    ("db", "database"),
    ("cache", "cache"),
    ("out", "outbound"),
    ("tmpl", "template"),
    ("rest", "rest"),
)


@register.filter
def text(value: Any, limit: int = LONGEST) -> str:
    """Any value as text that shows all it holds, cut at ``limit`` characters."""
    if value is None or value == "":
        return NONE
    whole = str(value)
    shown = whole[:limit]
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() else _code(each) for each in shown)
    left_out = len(whole) - limit
    return f"{shown}… ({left_out:,} more)" if left_out > 0 else shown


@register.filter
def lines(value: Any) -> str:
    """The same for a text of several lines."""
    return "\n".join(text(each) if each else "" for each in str(value).split("\n"))


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


@register.filter
def seconds(value: Any) -> str:
    """``20 µs``, ``0.4 ms``, ``85 ms``, ``1.23 s``, ``4:05 min``, ``2:10 h``."""
    if not _number(value):
        return NONE
    if 0 < value < 0.00005:
        return f"{value * 1e6:.0f} \N{MICRO SIGN}s"
    if value < 0.00995:
        return f"{value * 1000:.1f} ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    return _long(value)


def _long(value: float) -> str:
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02} h" if hours < 48 else f"{hours / 24:.1f} d"


@register.filter
def step(value: float) -> str:
    """The width of a bucket in words: ``30 s``, ``15 min``, ``6 h``."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value:g} s"


@register.filter
def count(value: Any) -> str:
    """A number with commas; fractions with one decimal."""
    if not _number(value):
        return NONE
    return f"{value:,.1f}" if isinstance(value, float) and value % 1 else f"{int(value):,}"


@register.filter
def size(value: Any) -> str:
    """Bytes."""
    if not _number(value):
        return NONE
    for unit in SIZES:
        if value < 999.5 or unit == SIZES[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"


@register.filter
def percent(value: Any) -> str:
    """A share; what is not nothing never looks like nothing."""
    if not _number(value):
        return NONE
    hundredths = value * 100
    if 0 < hundredths < 0.1:
        return "<0.1 %"
    return f"{hundredths:.1f} %" if hundredths < 10 else f"{hundredths:.0f} %"


@register.filter
def when(value: Any) -> SafeString | str:
    """A moment in UTC; the script of the page adds the reader's own time."""
    moment = _moment(value)
    if moment is None:
        return NONE
    shown = moment.strftime("%Y-%m-%d %H:%M:%S")
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), shown)


@register.simple_tag(takes_context=True)
def ago(context: dict[str, Any], value: Any) -> SafeString | str:
    """How long a moment is past, with the moment itself as title."""
    moment = _moment(value)
    if moment is None:
        return NONE
    past = max(context["asked"].now - value, 0.0)
    shown = "just now" if past < 1 else f"{_round(past)} ago"
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(),
        moment.strftime("%Y-%m-%d %H:%M:%S"),
        shown,
    )


def _round(past: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if past >= unit:
            return f"{past / unit:.0f} {name}"
    return f"{past:.0f} s"


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if _number(value) else None
    except (OverflowError, ValueError, OSError):
        return None


def _number(value: Any) -> bool:
    # NaN and infinity are no numbers that one can look at.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


@register.filter
def code(value: str) -> SafeString:
    """A sentence of ours in which names stand in backticks."""
    parts = re.split(r"`([^`]+)`", value)
    return format_html_join(
        "",
        "{}{}",
        (
            (part, "") if index % 2 == 0 else ("", format_html("<code>{}</code>", part))
            for index, part in enumerate(parts)
        ),
    )


@register.filter
def field(value: Any, name: str) -> str:
    """A field's value by its unit in the table of fields."""
    known = MEANINGS.get(name)
    if known is not None and known.unit == "s" and name != "ts":
        return seconds(value)
    if known is not None and known.unit == "bytes":
        return size(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if known is not None and known.unit == "1":
        return count(value)
    return text(value)


@register.simple_tag(takes_context=True)
def link(context: dict[str, Any], page: str, **parameters: Any) -> str:
    """The URL of another page, in the same period."""
    asked: Asked = context["asked"]
    return asked.link(page, **parameters)


@register.simple_tag(takes_context=True)
def same(context: dict[str, Any], **changes: Any) -> str:
    """The URL of this page, with some parameters changed."""
    asked: Asked = context["asked"]
    return asked.same(**changes)


@register.simple_tag
def spark(counts: Sequence[float], label: str) -> SafeString:
    """A small bar for each count; what they are stands in the label."""
    most = max(counts, default=0) or 1
    bars = format_html_join(
        "",
        '<rect x="{}" y="{}" width="3" height="{}"/>',
        (
            (4 * at, f"{20 - 20 * each / most:.1f}", f"{max(20 * each / most, 0.5):.1f}")
            for at, each in enumerate(counts)
            if each
        ),
    )
    return format_html(
        '<svg class="spark" viewBox="0 0 {} 20" role="img" aria-label="{}">{}</svg>',
        max(4 * len(counts), 4),
        label,
        bars,
    )


@register.simple_tag
def parts(times: dict[str, Any], of: float | None = None) -> SafeString | str:
    """Where the time went, as one bar; ``of`` is the time that would fill it."""
    whole = sum(times.get(f"{key}_time") or 0.0 for key, _ in PARTS)
    if whole <= 0:
        return NONE
    scale = 100 / max(of or whole, whole)
    at, drawn, said = 0.0, [], []
    for key, name in PARTS:
        took = times.get(f"{key}_time") or 0.0
        if took > 0:
            drawn.append((key, f"{at * scale:.2f}%", f"{took * scale:.2f}%"))
            said.append(f"{name} {seconds(took)} ({percent(took / whole)})")
            at += took
    label = ", ".join(said)
    rects = format_html_join("", '<rect class="part-{}" x="{}" width="{}" height="100%"/>', drawn)
    return format_html(
        '<svg class="parts" role="img" aria-label="{}"><title>{}</title>{}</svg>',
        label,
        label,
        rects,
    )


@register.simple_tag
def bar(start: Any, took: Any, whole: float, kind: str) -> SafeString:
    """One row of a waterfall; nothing is as long as what is not known."""
    start, took = (each if _number(each) else 0.0 for each in (start, took))
    scale = 100 / whole if whole > 0 else 0.0
    left = min(max(start * scale, 0.0), 100.0)
    wide = min(max(took * scale, 0.3), 100.0 - min(left, 99.7))
    return format_html(
        '<svg class="bar" aria-hidden="true"><rect class="part-{}" x="{}%" width="{}%"'
        ' height="100%"/></svg>',
        kind,
        f"{min(left, 99.7):.2f}",
        f"{wide:.2f}",
    )


@register.simple_tag(takes_context=True)
def heading(
    context: dict[str, Any], label: str, key: str, usual: str, kind: str = ""
) -> SafeString:
    """The head of a column that the table can be sorted by."""
    asked: Asked = context["asked"]
    chosen = asked.given.get("sort", usual) == key
    order = "ascending" if key in ("view", "oldest") else "descending"
    return format_html(
        '<th scope="col"{}{}><a href="{}">{}{}</a></th>',
        format_html(' class="{}"', kind) if kind else "",
        format_html(' aria-sort="{}"', order) if chosen else "",
        asked.same(sort=key, page=None),
        label,
        (" ↑" if order == "ascending" else " ↓") if chosen else "",
    )


@register.simple_tag
def cell(value: Any) -> SafeString:
    """One value of an answer, whatever it is."""
    if isinstance(value, float):
        shown = count(value) if abs(value) >= 1000 else f"{value:.4g}"
        return format_html('<td class="n">{}</td>', shown)
    if isinstance(value, int) and not isinstance(value, bool):
        return format_html('<td class="n">{}</td>', value)
    return format_html("<td>{}</td>", text(value, 2000))
