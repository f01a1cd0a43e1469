"""How values are displayed: the filters of the viewer's templates.

The values of an event came from the network or from an application. Templates escape every value;
``text`` also makes visible what a page would interpret or hide: control characters, and marks that
change the direction of writing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from slowhound.event.fields import FIELDS

register = template.Library()

LONGEST_DISPLAYED = 20_000
NO_VALUE = "\N{EN DASH}"
FIELDS_BY_NAME = {field.name: field for field in FIELDS}
SIZE_UNITS = ("B", "kB", "MB", "GB", "TB")


@register.filter
def text(value: Any, limit: int = LONGEST_DISPLAYED) -> str:
    """Any value as text without invisible characters, cut at ``limit`` characters."""
    if value is None or value == "":
        return NO_VALUE
    whole = str(value)
    displayed = whole[:limit]
    if not displayed.isprintable():
        displayed = "".join(each if each.isprintable() else _escaped(each) for each in displayed)
    left_out = len(whole) - limit
    return f"{displayed}… ({left_out:,} more)" if left_out > 0 else displayed


@register.filter
def lines(value: Any) -> str:
    """The same for a text of several lines."""
    return "\n".join(text(each) if each else "" for each in str(value).split("\n"))


def _escaped(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


@register.filter
def seconds(value: Any) -> str:
    """``20 µs``, ``0.4 ms``, ``85 ms``, ``1.23 s``, ``4:05 min``, ``2:10 h``."""
    if not is_number(value):
        return NO_VALUE
    if 0 < value < 0.00005:
        return f"{value * 1e6:.0f} \N{MICRO SIGN}s"
    if value < 0.00995:
        return f"{value * 1000:.1f} ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    return _minutes(value)


def _minutes(value: float) -> str:
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
    if not is_number(value):
        return NO_VALUE
    return f"{value:,.1f}" if isinstance(value, float) and value % 1 else f"{int(value):,}"


@register.filter
def size(value: Any) -> str:
    """Bytes."""
    if not is_number(value):
        return NO_VALUE
    for unit in SIZE_UNITS:
        if value < 999.5 or unit == SIZE_UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"


@register.filter
def percent(value: Any) -> str:
    """A share; one above zero is never displayed as zero."""
    if not is_number(value):
        return NO_VALUE
    hundredths = value * 100
    if 0 < hundredths < 0.1:
        return "<0.1 %"
    return f"{hundredths:.1f} %" if hundredths < 10 else f"{hundredths:.0f} %"


@register.filter
def when(value: Any) -> SafeString | str:
    """A time in UTC; the page's script adds the reader's local time."""
    time = utc_time(value)
    if time is None:
        return NO_VALUE
    displayed = time.strftime("%Y-%m-%d %H:%M:%S")
    return format_html('<time datetime="{}">{}</time>', time.isoformat(), displayed)


def utc_time(value: Any) -> datetime | None:
    """The time of these seconds since 1970; None where they are no time."""
    try:
        return datetime.fromtimestamp(value, UTC) if is_number(value) else None
    except (OverflowError, ValueError, OSError):
        return None


def is_number(value: Any) -> bool:
    """True for numbers that can be displayed: not for NaN, infinity and booleans."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


@register.filter
def code(value: str) -> SafeString:
    """A sentence from the source code, with names in backticks."""
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
    """A field's value, by its unit in the table of fields."""
    known = FIELDS_BY_NAME.get(name)
    if known is not None and known.unit == "s" and name != "ts":
        return seconds(value)
    if known is not None and known.unit == "bytes":
        return size(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if known is not None and known.unit == "1":
        return count(value)
    return text(value)
