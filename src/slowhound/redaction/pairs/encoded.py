r"""Makes encoded texts searchable: percent-encoded, HTML-escaped, JSON's escapes, multipart forms.

Nothing is decoded to be shown. A **view** of the text has the separators of names and values in the
place of their codes, and is as long as the text: ``password%3Dx`` becomes ``password=\0\0x``. So
what is found in the view has the same place in the text. The characters a to z need no decoding: no
encoding changes them.
"""

from __future__ import annotations

import re

FILL = "\0"  # in the place of the rest of a code
# Times that one text may have been encoded.
ENCODINGS_LIMIT = 3
# Characters whose codes have two hexadecimal digits.
_MARKS = "\"'=:&?#[]{}(),;<> /\\\r\n-_.|"
_CODES = [(mark, f"{ord(mark):02x}") for mark in _MARKS]
_PERCENT = [(f"%{code}", mark + 2 * FILL) for mark, code in _CODES]
_OF_JSON = [(f"\\u00{code}", mark + 5 * FILL) for mark, code in _CODES if mark in "\"'=:&<>/"]
_OF_SCRIPTS = [(f"\\x{code}", mark + 3 * FILL) for mark, code in _CODES if mark in "\"'=:&<>/"]
_HTML = [
    (entity, mark + (len(entity) - 1) * FILL)
    for mark, entities in {
        '"': "&quot; &#34; &#034; &#x22;",
        "'": "&apos; &#39; &#039; &#x27;",
        "=": "&#61; &#x3d; &equals;",
        ":": "&#58; &#x3a; &colon;",
        "&": "&#38; &#x26;",
        "<": "&lt; &#60; &#x3c;",
        ">": "&gt; &#62; &#x3e;",
        " ": "&nbsp; &#32; &#x20;",
    }.items()
    for entity in entities.split()
]


def lowered(text: str) -> str:
    """``text`` in lower case, as long as it was: only one character of all becomes longer."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.replace("\u0130", "i").lower()


def view_of(lower: str) -> str:
    """A view of a text in lower case, see above; nearly always the text itself."""
    if "%" in lower:
        for _ in range(ENCODINGS_LIMIT - 1):
            if "%25" not in lower:
                break
            lower = lower.replace("%25", 2 * FILL + "%")
        lower = _replaced(lower, _PERCENT)
    if "&" in lower and ";" in lower:
        for _ in range(ENCODINGS_LIMIT - 1):
            lower = lower.replace("&amp;", 4 * FILL + "&")
        lower = _replaced(lower, _HTML)
    if "\\u00" in lower:
        lower = _replaced(lower, _OF_JSON)
    return _replaced(lower, _OF_SCRIPTS) if "\\x" in lower else lower


def _replaced(text: str, codes: list[tuple[str, str]]) -> str:
    for code, mark in codes:
        text = text.replace(code, mark)
    return text


# What follows ``name="password"``: the rest of the line, up to two headers, and an empty line.
_LINE = r"(?:\r?\n|(?:\\r)?\\n)"
_HEADERS_END = re.compile(
    rf"[;\w=\"'./*\- ]{{0,200}}{_LINE}(?:[\w-]{{1,40}}:[\w/;=. \-]{{0,100}}{_LINE}){{0,2}}{_LINE}"
)
_PART_END = re.compile(r"(?:\r?\n|(?:\\r)?\\n)--")


def part_of_form(view: str, at: int) -> tuple[int, int] | None:
    """The value in a multipart form whose name ends at ``at`` in its headers."""
    headers = _HEADERS_END.match(view, at)
    if headers is None:
        return None
    end = _PART_END.search(view, headers.end())
    return headers.end(), len(view) if end is None else end.start()
