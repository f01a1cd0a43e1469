"""Finds values that pydantic quotes in its errors: ``input_value='x'``, ``'input': 'x'``.

The field's name stands on a line of its own before the message, or as ``loc``. pydantic cuts a long
input in its middle, so that the name of a value may be gone, or half of it.
https://docs.pydantic.dev/latest/errors/errors/
"""

from __future__ import annotations

import re
from typing import Any

from slowhound.redaction.name_table import Secrecy
from slowhound.redaction.names import may_be_a_number, secrecy_of
from slowhound.redaction.pairs import values as pair_values

# The line of a field, and the lines of its message up to the value.
_FIELD = re.compile(
    r"(?:\A|\n|\\n)(?P<loc>[\w.,\[\]()-]{1,200})(?:\n|\\n)  (?P<message>(?:(?!\\n)[^\n]){0,400}?)"
    r"\[type=\w{1,60}, input_value="
)
_INPUT = re.compile(r", input_value=")
_INPUT_ENDS = ", input_type="
_LOC = re.compile(r"[\"']loc[\"']:\s?[\[(](?P<loc>[^\[\](){}]{1,200})[\])]")
_INPUT_KEY = re.compile(r"[\"']input[\"']:\s?")
_WORD = re.compile(r"[\w-]+")
# Characters between ``loc`` and the input.
NEAR = 600
# pydantic keeps 25 characters of the beginning, and 24 of the end.
_CUT = re.compile(r"(?P<first>[\[{(].{23,26})\.\.\.(?P<last>.{20,26})\Z", re.DOTALL)
_NEXT_KEY = re.compile(r", ['\"]")
_OPEN_VALUE = re.compile(r"['\"][\w-]{1,25}['\"]: [^,]{0,26}\Z")
_MIXED = re.compile(r"[A-Za-z][0-9]|[0-9][A-Za-z]|[0-9]{4}")
_RANDOM = re.compile(r"(?=[A-Za-z]{0,30}[0-9])(?=[0-9]{0,30}[A-Za-z])[A-Za-z0-9]{8}")
# Ends of secret names.
_NAMES = "password passwd passphrase token secret key credential signature cookie pin otp iban"
_ENDINGS = {name[at:] for name in _NAMES.split() for at in range(len(name))}


def inputs_in(text: str) -> list[tuple[int, int]]:
    """The places of the values of secret fields in a text."""
    spans: list[tuple[int, int]] = []
    if "input_value=" in text:
        for found in _FIELD.finditer(text):
            spans += _value_of(text, found.end(), found["loc"])
        for found in _INPUT.finditer(text):
            spans += _cut_value(text, found.end())
    until = 0  # the end of the last value, in which no names are searched
    if "input" in text and "loc" in text:
        for found in _LOC.finditer(text):
            key = _INPUT_KEY.search(text, max(until, found.end()), found.end() + NEAR)
            if (
                found.start() >= until
                and key is not None
                and is_secret_place(_WORD.findall(found["loc"]))
            ):
                value = pair_values.value_at(text, text, key.end(), query=False, quoted_name=True)
                spans += _without_names(text, value.start, value.end, found["loc"])
                until = value.after
    return spans


def is_secret_place(loc: list[str]) -> bool:
    """True where one of the names in the path of a value is secret."""
    return any(secrecy_of(name) is Secrecy.SECRET for name in loc)


def _value_of(text: str, start: int, loc: str) -> list[tuple[int, int]]:
    end = text.find(_INPUT_ENDS, start, start + NEAR)
    if end < 0 or not is_secret_place(_WORD.findall(loc)):
        return []
    if text[start] in "'\"" and text[end - 1] == text[start]:
        return [(start + 1, end - 1)] if end - start > 2 else []
    return _without_names(text, start, end, loc)


def _without_names(text: str, start: int, end: int, loc: str) -> list[tuple[int, int]]:
    """The value, unless it is empty, a flag, a plain number, or data with names of its own."""
    value = text[start:end]
    if not value or value in ("None", "null", "True", "False", "true", "false") or value[0] == "{":
        return []
    if value.isdigit() and not any(map(may_be_a_number, _WORD.findall(loc))):
        return []
    return [(start, end)]


def _cut_value(text: str, start: int) -> list[tuple[int, int]]:
    """The text behind the cut, up to the next name, if its own name may be secret."""
    end = text.find(_INPUT_ENDS, start, start + 80)
    found = _CUT.match(text[start:end]) if end > 0 else None
    if found is None:
        return []
    following = _NEXT_KEY.search(found["last"])
    last = found["last"][: following.start()] if following else found["last"][:-1]
    name, colon, value = last.partition(": ")
    name = name.rstrip("'\"")
    if colon and not (value[:1] in ("'", '"') and name.lower().rpartition("_")[2] in _ENDINGS):
        return []
    if not colon:
        is_known = _OPEN_VALUE.search(found["first"]) is not None
        if (_RANDOM if is_known else _MIXED).search(last) is None:
            return []
    at = start + found.start("last")
    return [(at + len(last) - len(value if colon else last), at + len(last))]


def input_of_secret(error: dict[str, Any]) -> bool:
    """True for an error of pydantic's, as data, with the ``input`` of a secret field."""
    loc, given = error.get("loc"), error.get("input")
    if not isinstance(loc, list | tuple) or type(given) not in (str, int, float, list, tuple):
        return False
    names = [each for each in loc if type(each) is str]
    if type(given) in (int, float) and not any(map(may_be_a_number, names)):
        return False
    return is_secret_place(names)
