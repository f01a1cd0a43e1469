"""A logfmt reader for the tests, which shares no code with slowhound's writer.

A line is `key="value"` pairs separated by single spaces. Between the quotes is a JSON string
literal; the reader accepts nothing else.
"""

from __future__ import annotations

import json
import re

KEY = re.compile(r'[^\s="\\\x00-\x1f]+')
VALUE = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
# What must never reach a terminal or a log pipeline unescaped: controls, bidirectional overrides.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class BadLine(ValueError):
    """The text is not a canonical line."""


def parse(text: str) -> dict[str, str]:
    """The pairs of a line, in order."""
    pairs: dict[str, str] = {}
    at = 0
    while True:
        key = KEY.match(text, at)
        if not key or text[key.end() : key.end() + 1] != "=":
            raise BadLine(f"no key at {at}: {text[at : at + 60]!r}")
        value = VALUE.match(text, key.end() + 1)
        if not value:
            raise BadLine(
                f"no quoted value at {key.end() + 1}: {text[key.end() : key.end() + 60]!r}"
            )
        if key[0] in pairs:
            raise BadLine(f"{key[0]} twice: {text!r}")
        pairs[key[0]] = str(json.loads(value[0]))
        at = value.end()
        if at == len(text):
            return pairs
        if text[at] != " ":
            raise BadLine(f"no space at {at}: {text[at : at + 60]!r}")
        at += 1


def folded(value: str) -> str:
    """`value` as logfmt shows it: runs of white space are one space."""
    return re.sub(r"\s+", " ", value).strip() or "-"
