"""Named questions, and a person's own SQL."""

from __future__ import annotations

from collections.abc import Mapping

from slowhound.store.answer import Answer, StoreError
from slowhound.store.questions import QUESTIONS
from slowhound.viewer.pages.shared import command
from slowhound.viewer.query import Asked, Parameter, chosen, text, whole
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Where

MOST = 500
SECONDS = 10.0
CELLS = 60_000  # which take half a second; 500 rows of all that an event has are fewer


def data(asked: Asked, where: Where) -> Data:
    """The list of questions; and the answer to the one that was asked, or why there is none."""
    name, own = asked.get("q"), asked.get("sql")
    found: Data = {
        "questions": [
            {"name": each, "title": question.title, "text": question.text}
            for each, question in QUESTIONS.items()
        ],
        "question": None,
        "answer": None,
        "problem": None,
        "seconds": SECONDS,
        "command": command(asked, where, "ask", period=False),
    }
    source = where.source()
    try:
        if own:
            found["command"] = command(asked, where, "ask", "sql", own, period=False)
            found["answer"] = _as_data(_bearable(source.adhoc(own, SECONDS, MOST)))
        elif name:
            given = {
                each: asked.get(each) for each in QUESTIONS[name].parameters if asked.get(each)
            }
            found["question"] = _described(name, given)
            words = [f"{each}={value}" for each, value in given.items()]
            found["command"] = command(asked, where, "ask", name, *words)
            limit = asked.get("limit") or 50
            answer = source.ask(name, since=asked.since, until=asked.until, limit=limit, **given)
            found["answer"] = _as_data(answer)
    except StoreError as refused:
        found["problem"] = str(refused)
    return found


def _bearable(answer: Answer) -> Answer:
    """What a page can show: 500 rows of 4,900 columns took 28 s, and were 49 MB of HTML."""
    most = max(1, CELLS // max(1, len(answer.columns)))
    if len(answer.rows) <= most:
        return answer
    remark = f"only the first {most} rows are shown: a page has {CELLS:,} values at most"
    return answer._replace(rows=answer.rows[:most], remarks=(remark, *answer.remarks))


def _as_data(answer: Answer) -> Data:
    return {"columns": answer.columns, "rows": answer.rows, "notes": answer.remarks}


def _described(name: str, given: Mapping[str, str]) -> Data:
    question = QUESTIONS[name]
    return {
        "name": name,
        "title": question.title,
        "text": question.text,
        "sql": question.sql.strip(),
        "parameters": [
            {
                "name": each,
                "default": parameter.default,
                "meaning": parameter.meaning,
                "value": given.get(each),
            }
            for each, parameter in question.parameters.items()
        ],
    }


def extras(asked: Asked, data: Data) -> Data:
    """The columns of the answer, and which of them are numbers."""
    answer = data["answer"]
    if answer is None:
        return {}
    first = answer["rows"][0] if answer["rows"] else [None] * len(answer["columns"])
    pairs = zip(answer["columns"], first, strict=True)
    return {"heads": [(name, isinstance(each, int | float)) for name, each in pairs]}


def limit(given: str) -> int:
    """Rows, at most ``MOST``."""
    return min(max(whole(given), 1), MOST)


PAGE = Page(
    "ask",
    "Ask",
    "Questions with a name, and your own in SQL.",
    data,
    {
        **{
            name: Parameter(text, parameter.meaning)
            for question in QUESTIONS.values()
            for name, parameter in question.parameters.items()
        },
        "q": chosen(*QUESTIONS, label="question"),
        "sql": Parameter(text, "SQL"),
        "limit": Parameter(limit, "rows"),
    },
    extras=extras,
)
