"""The page with the named questions and a form for SQL."""

from __future__ import annotations

from collections.abc import Mapping

from slowhound.store.answer import Answer, StoreError
from slowhound.store.questions import QUESTIONS
from slowhound.viewer.pages.shared import command
from slowhound.viewer.query import Query, QueryParameter, one_of, text, whole_number
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Sources

MOST_ROWS = 500
TIME_LIMIT = 10.0
MOST_CELLS = 60_000  # half a second; 500 rows with all fields of an event have fewer


def data(query: Query, sources: Sources) -> Data:
    """The list of questions; and the answer to the one in the URL, or why there is none."""
    name, own = query.get("q"), query.get("sql")
    found: Data = {
        "questions": [
            {"name": each, "title": question.title, "text": question.text}
            for each, question in QUESTIONS.items()
        ],
        "question": None,
        "answer": None,
        "problem": None,
        "seconds": TIME_LIMIT,
        "command": command(query, sources, "ask", period=False),
    }
    store = sources.store()
    try:
        if own:
            found["command"] = command(query, sources, "ask", "sql", own, period=False)
            found["answer"] = _as_data(_displayable(store.adhoc(own, TIME_LIMIT, MOST_ROWS)))
        elif name:
            given = {
                each: query.get(each) for each in QUESTIONS[name].parameters if query.get(each)
            }
            found["question"] = _described(name, given)
            words = [f"{each}={value}" for each, value in given.items()]
            found["command"] = command(query, sources, "ask", name, *words)
            limit = query.get("limit") or 50
            answer = store.ask(name, since=query.since, until=query.until, limit=limit, **given)
            found["answer"] = _as_data(answer)
    except StoreError as error:
        found["problem"] = str(error)
    return found


def _displayable(answer: Answer) -> Answer:
    """As many rows as a page can show: 500 with 4,900 columns took 28 s, and were 49 MB of HTML."""
    most = max(1, MOST_CELLS // max(1, len(answer.columns)))
    if len(answer.rows) <= most:
        return answer
    remark = f"only the first {most} rows are shown: a page has {MOST_CELLS:,} values at most"
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


def extras(query: Query, data: Data) -> Data:
    """The columns of the answer, and which of them are numbers."""
    answer = data["answer"]
    if answer is None:
        return {}
    first = answer["rows"][0] if answer["rows"] else [None] * len(answer["columns"])
    pairs = zip(answer["columns"], first, strict=True)
    return {"heads": [(name, isinstance(each, int | float)) for name, each in pairs]}


def limit(given: str) -> int:
    """Rows, at most ``MOST_ROWS``."""
    return min(max(whole_number(given), 1), MOST_ROWS)


PAGE = Page(
    "ask",
    "Ask",
    "Named questions, and your own SQL.",
    data,
    {
        **{
            name: QueryParameter(text, parameter.meaning)
            for question in QUESTIONS.values()
            for name, parameter in question.parameters.items()
        },
        "q": one_of(*QUESTIONS, label="question"),
        "sql": QueryParameter(text, "SQL"),
        "limit": QueryParameter(limit, "rows"),
    },
    extras=extras,
)
