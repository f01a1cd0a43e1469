"""Makes a Slack message of a report, which Mattermost and Rocket.Chat understand as well."""

from __future__ import annotations

from typing import Any

from slowhound.core.report import Report
from slowhound.event.formats import one_line
from slowhound.sinks.wording import cut, end_note, facts, group_note, headline

# Slack's limits: 150 characters for a header, 3,000 for a section, ten fields.
TITLE_LIMIT, SECTION_LIMIT, FACTS_LIMIT, FACT_LIMIT = 150, 2900, 10, 300
FRAMES_LIMIT = 12


def slack_message(report: Report) -> dict[str, Any]:
    """The payload of an incoming webhook; ``text`` is for notifications."""
    lines = [one_line(report.request_line), group_note(report)]
    if report.finished is not None:
        lines.append(end_note(report.finished))
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(headline(report), TITLE_LIMIT)},
        {"type": "section", "text": _plain("\n".join(filter(None, lines)), SECTION_LIMIT)},
    ]
    if report.finished is None:
        blocks.append({"type": "section", "fields": _fields(report)})
        verdict = "\n".join(one_line(line) for line in report.verdict.split("\n"))
        blocks += [_code(text) for text in (verdict, _stack(report)) if text]
    return {"text": escape(cut(headline(report), TITLE_LIMIT)), "blocks": blocks}


def escape(text: str) -> str:
    """Escapes what Slack would read as a link, a mention or the end of code."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("`", "'")


def _plain(text: str, limit: int) -> dict[str, Any]:
    # Without links, mentions or bold; "emoji" would turn :words: into emoji.
    return {"type": "plain_text", "text": text[:limit], "emoji": False}


def _code(text: str) -> dict[str, Any]:
    # Escaping may turn one character into five.
    shown = (
        escape(text[: SECTION_LIMIT // 5]) if len(escape(text)) > SECTION_LIMIT else escape(text)
    )
    return {
        "type": "section",
        "text": {"type": "mrkdwn", "text": f"```{shown}```", "verbatim": True},
    }


def _fields(report: Report) -> list[dict[str, Any]]:
    return [_plain(f"{label}: {value}", FACT_LIMIT) for label, value in facts(report)[:FACTS_LIMIT]]


def _stack(report: Report) -> str:
    if report.snapshot is not None:
        frames = [str(frame) for frame in reversed(report.snapshot.stack[-FRAMES_LIMIT:])]
    else:
        frames = str(report.event.get(f"{report.kind}_stack") or "").split(" < ")
    return "\n".join(one_line(str(frame)) for frame in frames)
