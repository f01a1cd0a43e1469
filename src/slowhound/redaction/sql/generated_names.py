"""Folds generated names: of savepoints, cursors, prepared statements and temporary tables."""

from __future__ import annotations

import re
from itertools import pairwise

# A name; of those in double quotes, unusual ones were masked before.
_LETTER = r"(?:[^\W\d]|[#@])"
_WORD = rf"{_LETTER}[\w$#@]*+"
_NAME = (
    rf"\"{_LETTER}(?:[^\"\n]|\"\"){{0,126}}\"|`(?:[^`\n]|``){{1,128}}`"
    rf"|\[(?:[^\]\n]|\]\]){{1,128}}\]|{_WORD}"
)
_WITH_DIGIT = (
    rf"\"(?=[^\"\n]*\d){_LETTER}[^\"\n]{{0,126}}\"|`(?=[^`\n]*\d)[^`\n]{{1,128}}`"
    rf"|(?<![\w$#@])(?={_LETTER}[\w$#@]*\d){_WORD}"
)
_BEGINS = r"(?:\A|;)\s*"
_OBJECTS = (
    # The name of a savepoint or a transaction means nothing.
    rf"(?P<savepoint>{_BEGINS}(?:SAVEPOINT|(?:SAVE|BEGIN|COMMIT)\s+TRAN(?:SACTION)?|(?:RELEASE"
    r"|ROLLBACK(?:\s+(?:WORK|TRAN(?:SACTION)?))?(?:\s+TO)?)(?:\s+SAVEPOINT)?)\s+)"
    r"(?!(?:TO|WORK|TRAN|TRANSACTION|SAVEPOINT|AND|PREPARED|READ|ISOLATION|NOT|DEFERRABLE|WITH)\b)"
    rf"(?:{_NAME})"
    # Things that live as long as a transaction or a connection: cursors, prepared statements,
    # tables.
    rf"|(?P<of>{_BEGINS}(?:DECLARE|OPEN|PREPARE|EXECUTE|DEALLOCATE(?:\s+PREPARE)?|(?:UN)?LISTEN"
    r"|(?:CREATE|DROP)\s+(?:(?:GLOBAL|LOCAL|OR\s+REPLACE)\s+)?TEMP(?:ORARY)?\s+\w+"
    rf"(?:\s+IF\s+(?:NOT\s+)?EXISTS)?)\s+)(?P<object>{_NAME})"
    rf"|(?P<last>{_BEGINS}(?:FETCH|MOVE|CLOSE)\b[^;]*\s)(?P<cursor>{_NAME})(?=\s*(?:;|\Z))"
    rf"|(?P<other>{_WITH_DIGIT})"
)
# Few statements contain one of these; T4 is an alias of Django's.
_OF_OBJECTS = re.compile(
    r"\A\s*(?:SAVE|RELEASE|ROLLBACK|BEGIN|COMMIT|DECLARE|OPEN|PREPARE|EXECUTE|DEALLOCATE"
    r"|(?:UN)?LISTEN|CREATE|DROP|FETCH|MOVE|CLOSE)",
    re.IGNORECASE,
)
_DIGIT_OF_NAME = re.compile(r"\d(?:(?<=\w[A-Za-z_$]\d)|\d{8})")
_NAMES = re.compile(_OBJECTS, re.IGNORECASE)
_TEMPORARY = re.compile(r"(?:tmp|temp|temporary)\d*", re.IGNORECASE)
_HEX = re.compile(r"(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{4,}", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}([-_])(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}", re.IGNORECASE)
_WORD_AND_NUMBER = re.compile(r"[^\W\d]+(\d+)")


def has_no_names(sql: str) -> bool:
    """True where no name is generated, at a tenth of the cost of ``_fold``."""
    return (
        "#" not in sql
        and ";" not in sql
        and not _DIGIT_OF_NAME.search(sql)
        and not _OF_OBJECTS.match(sql)
    )


def fold(text: str) -> str:
    """The statement with ``?`` for the generated parts of names: ``tmp_3f2a91bc`` is ``tmp_?``."""
    return _NAMES.sub(_folded, text)


def _folded(found: re.Match[str]) -> str:
    if found["savepoint"] is not None:
        return f"{found['savepoint']}?"
    before = found["of"] or found["last"] or ""
    name = (found["object"] or found["cursor"] or found["other"]).strip('"`[]')
    parts = re.split(r"([\W_]+)", _UUID.sub("?", name))
    at_least = 1 if before else _digits_of_temporary(name, parts)
    shown = "".join(_folded_part(part, at_least, alone=len(parts) == 1) for part in parts)
    return found[0] if shown == name else before + shown


def _digits_of_temporary(name: str, parts: list[str]) -> int:
    """The number of digits from which on a part is a generated one; 9 if it is not temporary.

    Dates have 8; the number of a thread and a time stamp have more.
    """
    if name.startswith("#"):
        return 1
    kinds = [part.rstrip("0123456789").lower() for part in parts if _TEMPORARY.fullmatch(part)]
    if not kinds:
        return 9
    return 1 if "tmp" in kinds else 3  # temp_1 may be a temperature


def _folded_part(part: str, at_least: int, *, alone: bool) -> str:
    digits = sum(map(str.isdigit, part))
    if not digits:
        return part
    if len(part) >= 8 and _is_generated(part, alone=alone, temporary=at_least < 9):
        return "?"
    if digits < at_least:
        return part
    if at_least < 9 and _HEX.fullmatch(part):
        return "?"
    number = _WORD_AND_NUMBER.fullmatch(part)
    if number is not None:
        return f"{part[: number.start(1)]}?"
    return "?" if at_least < 9 or part.isdigit() else re.sub(r"\d{9,}", "?", part)


def _is_generated(part: str, *, alone: bool, temporary: bool) -> bool:
    """True for 8 characters and more that no person would choose.

    People choose ``added2024``, ``x1y1x2y2`` and ``i18nl10n``. ``alone``: it is the whole name.
    """
    changes = _changes(part)
    if temporary:
        return changes >= 4 or _HEX.fullmatch(part) is not None
    if len(set(filter(str.isdigit, part))) < 3:
        return False
    if _HEX.fullmatch(part):
        return changes >= 2
    return changes >= 5 and not alone


def _changes(part: str) -> int:
    """The number of changes between digits and others: a name that a person chose has few."""
    return sum(one.isdigit() != other.isdigit() for one, other in pairwise(part))
