"""Draws the HTML of a mail: one page without scripts that loads nothing, all text escaped."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from slowhound.core.report import Report
from slowhound.core.report_text import others_text, timeline_text
from slowhound.event.formats import one_line
from slowhound.frames.frames import Frame
from slowhound.sinks.wording import end_note, facts, group_note, headline

# Mail programs know tables and inline styles; many know neither flex nor a style element.
FONT = "font:15px/1.5 Helvetica,Arial,sans-serif"
BODY = f"margin:0;padding:24px;background:#f4f4f2;color:#1d1d1b;{FONT}"
CARD = "max-width:760px;margin:0 auto;padding:24px 28px;background:#fff;border-top:4px solid {}"
MONO = "font:12px/1.5 Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:0"
FACT_LABEL = "padding:3px 16px 3px 0;color:#5d5d58;vertical-align:top;white-space:nowrap"
FACT_VALUE = "padding:3px 0;vertical-align:top;overflow-wrap:anywhere"
HEADING = (
    "margin:24px 0 8px;font-size:13px;text-transform:uppercase;letter-spacing:.05em;color:#5d5d58"
)
COLOURS = {"slow": "#b45309", "timeout": "#b91c1c", "crash": "#b91c1c"}
DONE = "#15803d"
OWN_FRAME = "padding:2px 8px;background:#fff4e0;border-left:3px solid #b45309;font-weight:bold"
OTHER_FRAME = "padding:2px 8px;border-left:3px solid #e4e4df;color:#5d5d58"


def page(report: Report) -> str:
    """The whole page."""
    colour = DONE if report.finished is not None else COLOURS.get(report.kind, "#b45309")
    parts = [
        format_html('<h1 style="margin:0 0 4px;font-size:20px">{}</h1>', headline(report)),
        format_html('<div style="{}">{}</div>', MONO, one_line(report.request_line)),
        *(_line(remark) for remark in _remarks(report)),
        _section("Verdict", _lines(report.verdict.split("\n"))) if report.verdict else "",
        _facts(report),
        _section("Stack, innermost first", _stack(report)),
    ]
    if report.timeline:
        text = timeline_text(report.timeline, report.timeline_left_out)
        parts.append(_section("Timeline", _lines(text.split("\n")[1:])))
    if report.others:
        text = others_text(report.others)
        parts.append(_section("Also in flight in this worker", _lines(text.split("\n")[1:])))
    return format_html(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>{}</title></head>'
        '<body style="{}"><div style="{}">{}</div></body></html>',
        headline(report),
        BODY,
        CARD.format(colour),
        format_html_join("", "{}", ((part,) for part in parts)),
    )


def _remarks(report: Report) -> list[str]:
    ended = [end_note(report.finished)] if report.finished is not None else []
    return [remark for remark in (*ended, group_note(report)) if remark]


def _line(text: str) -> SafeString:
    return format_html('<p style="margin:12px 0 0"><b>{}</b></p>', text)


def _section(title: str, content: SafeString) -> SafeString:
    return format_html('<h2 style="{}">{}</h2>{}', HEADING, title, content)


def _lines(lines: Iterable[str]) -> SafeString:
    text = "\n".join(one_line(line) for line in lines)
    return format_html('<div style="{}">{}</div>', MONO, text)


def _facts(report: Report) -> SafeString:
    rows = format_html_join(
        "",
        '<tr><td style="{}">{}</td><td style="{}">{}</td></tr>',
        ((FACT_LABEL, label, FACT_VALUE, value) for label, value in facts(report)),
    )
    table = format_html('<table style="border-collapse:collapse;font-size:13px">{}</table>', rows)
    return _section("What is known", table)


def _stack(report: Report) -> SafeString:
    if report.snapshot is not None:
        shown = [(_style(frame), _place(frame)) for frame in reversed(report.snapshot.stack)]
    else:
        text = report.event.get(f"{report.kind}_stack") or "(not known)"
        shown = [(OTHER_FRAME, one_line(place)) for place in str(text).split(" < ")]
    return format_html_join("", '<div style="{}">{}</div>', ((f"{MONO};{a}", b) for a, b in shown))


def _style(frame: Frame) -> str:
    return OWN_FRAME if frame.in_app else OTHER_FRAME


def _place(frame: Frame) -> str:
    source = one_line(frame.source)
    return one_line(str(frame)) + (f"\n    {source}" if source else "")
