"""A report as a message for Slack, or for what understands the same (Mattermost, Rocket.Chat)."""

from __future__ import annotations

from typing import Any

from slowhound.core.report import Report
from slowhound.event.formats import one_line
from slowhound.sinks.wording import cut, end_note, facts, group_note, headline

# Slack's own limits: a header of 150 characters, a section of 3,000, ten fields.
HEADER, SECTION, FIELDS, FIELD = 150, 2900, 10, 300
FRAMES = 12


def slack_message(report: Report) -> dict[str, Any]:
    """The payload of an incoming webhook; ``text`` is for notifications."""
    notes = [one_line(report.request_line), group_note(report)]
    if report.finished is not None:
        notes.append(end_note(report.finished))
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(headline(report), HEADER)},
        {"type": "section", "text": _plain("\n".join(filter(None, notes)), SECTION)},
    ]
    if report.finished is None:
        blocks.append({"type": "section", "fields": _fields(report)})
        verdict = "\n".join(one_line(line) for line in report.verdict.split("\n"))
        blocks += [_code(text) for text in (verdict, _stack(report)) if text]
    return {"text": escape(cut(headline(report), HEADER)), "blocks": blocks}


def escape(text: str) -> str:
    """With what Slack would take for a link, a mention or the end of code made harmless."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("`", "'")


def _plain(text: str, limit: int) -> dict[str, Any]:
    # Nothing in it is a link, a mention or bold; "emoji" would make faces of :words:.
    return {"type": "plain_text", "text": text[:limit], "emoji": False}


def _code(text: str) -> dict[str, Any]:
    # Escaping may make five characters of one.
    shown = escape(text[: SECTION // 5]) if len(escape(text)) > SECTION else escape(text)
    return {
        "type": "section",
        "text": {"type": "mrkdwn", "text": f"```{shown}```", "verbatim": True},
    }


def _fields(report: Report) -> list[dict[str, Any]]:
    return [_plain(f"{label}: {value}", FIELD) for label, value in facts(report)[:FIELDS]]


def _stack(report: Report) -> str:
    if report.snapshot is not None:
        frames = [str(frame) for frame in reversed(report.snapshot.stack[-FRAMES:])]
    else:
        frames = str(report.event.get(f"{report.kind}_stack") or "").split(" < ")
    return "\n".join(one_line(str(frame)) for frame in frames)
