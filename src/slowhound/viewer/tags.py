"""Links, table cells and small drawings: the tags of the viewer's templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from slowhound.viewer.filters import NO_VALUE, count, is_number, percent, seconds, text, utc_time
from slowhound.viewer.query import Query

register = template.Library()

# The parts of a request's time, in the order in which they are drawn.
PARTS_OF_TIME = (
    ("queue", "queue"),
    ("db", "database"),
    ("cache", "cache"),
    ("out", "outbound"),
    ("tmpl", "template"),
    ("rest", "rest"),
)


@register.simple_tag(takes_context=True)
def ago(context: dict[str, Any], value: Any) -> SafeString | str:
    """How long ago a time was, with the time itself as title."""
    time = utc_time(value)
    if time is None:
        return NO_VALUE
    past = max(context["query"].now - value, 0.0)
    displayed = "just now" if past < 1 else f"{_rounded(past)} ago"
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        time.isoformat(),
        time.strftime("%Y-%m-%d %H:%M:%S"),
        displayed,
    )


def _rounded(past: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if past >= unit:
            return f"{past / unit:.0f} {name}"
    return f"{past:.0f} s"


@register.simple_tag(takes_context=True)
def link(context: dict[str, Any], page: str, **parameters: Any) -> str:
    """The URL of another page, in the same period."""
    query: Query = context["query"]
    return query.link(page, **parameters)


@register.simple_tag(takes_context=True)
def same(context: dict[str, Any], **changes: Any) -> str:
    """The URL of this page, with some parameters changed."""
    query: Query = context["query"]
    return query.same(**changes)


@register.simple_tag(takes_context=True)
def heading(
    context: dict[str, Any], label: str, key: str, default: str, css_class: str = ""
) -> SafeString:
    """The head of a column that the table can be sorted by."""
    query: Query = context["query"]
    is_chosen = query.given.get("sort", default) == key
    order = "ascending" if key in ("view", "oldest") else "descending"
    return format_html(
        '<th scope="col"{}{}><a href="{}">{}{}</a></th>',
        format_html(' class="{}"', css_class) if css_class else "",
        format_html(' aria-sort="{}"', order) if is_chosen else "",
        query.same(sort=key, page=None),
        label,
        (" ↑" if order == "ascending" else " ↓") if is_chosen else "",
    )


@register.simple_tag
def cell(value: Any) -> SafeString:
    """A table cell with one value of an answer, of any type."""
    if isinstance(value, float):
        displayed = count(value) if abs(value) >= 1000 else f"{value:.4g}"
        return format_html('<td class="n">{}</td>', displayed)
    if isinstance(value, int) and not isinstance(value, bool):
        return format_html('<td class="n">{}</td>', value)
    return format_html("<td>{}</td>", text(value, 2000))


@register.simple_tag
def spark(counts: Sequence[float], label: str) -> SafeString:
    """A small bar for each count; the label says what they are."""
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
    """Where the time went, as one bar; a time of ``of`` would fill it."""
    whole = sum(times.get(f"{key}_time") or 0.0 for key, _ in PARTS_OF_TIME)
    if whole <= 0:
        return NO_VALUE
    scale = 100 / max(of or whole, whole)
    at, drawn, labels = 0.0, [], []
    for key, name in PARTS_OF_TIME:
        took = times.get(f"{key}_time") or 0.0
        if took > 0:
            drawn.append((key, f"{at * scale:.2f}%", f"{took * scale:.2f}%"))
            labels.append(f"{name} {seconds(took)} ({percent(took / whole)})")
            at += took
    label = ", ".join(labels)
    rects = format_html_join("", '<rect class="part-{}" x="{}" width="{}" height="100%"/>', drawn)
    return format_html(
        '<svg class="parts" role="img" aria-label="{}"><title>{}</title>{}</svg>',
        label,
        label,
        rects,
    )


@register.simple_tag
def bar(start: Any, took: Any, whole: float, part: str) -> SafeString:
    """One row of a waterfall; an unknown time has no length."""
    start, took = (each if is_number(each) else 0.0 for each in (start, took))
    scale = 100 / whole if whole > 0 else 0.0
    left = min(max(start * scale, 0.0), 100.0)
    wide = min(max(took * scale, 0.3), 100.0 - min(left, 99.7))
    return format_html(
        '<svg class="bar" aria-hidden="true"><rect class="part-{}" x="{}%" width="{}%"'
        ' height="100%"/></svg>',
        part,
        f"{min(left, 99.7):.2f}",
        f"{wide:.2f}",
    )
