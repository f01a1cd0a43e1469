"""Masks values without quotes in a statement: of settings, and passwords of accounts."""

from __future__ import annotations

import re

_WORD = r"[^\s;,()?][^\s;,()]*"
# A value may be a name, or a part of one without its quotes.
_PASSWORDS = (
    # Oracle: CREATE USER a IDENTIFIED BY b, ALTER USER a IDENTIFIED BY b REPLACE c
    re.compile(
        r"(?P<before>\bIDENTIFIED (?:WITH \S{1,64} )?(?:BY|AS) (?:VALUES |PASSWORD )?)"
        rf"(?!RANDOM PASSWORD\b)(?:{_WORD}|\?)(?P<replace> REPLACE )?(?(replace)(?:{_WORD}|\?))",
        re.IGNORECASE,
    ),
    # SQLCipher, https://www.zetetic.net/sqlcipher/sqlcipher-api/
    re.compile(
        r"(?P<before>\bPRAGMA (?:\S{1,64}? ?\. ?)?(?:hex|text)?(?:re)?key ?[=(] ?)"
        r"[^\s;)?][^;)]*",
        re.IGNORECASE,
    ),
)
_OF_ATTACH = re.compile(rf"(?P<before>\bKEY )(?:{_WORD})", re.IGNORECASE)
_OF_ACCOUNT = re.compile(
    r"(?P<before>\bPASSWORD ?=? ?)"
    r"(?!(?:NULL|EXPIRE|REQUIRE|HISTORY|REUSE|OPTIONAL|NEVER|DEFAULT|VALID|FOR)\b)"
    rf"(?:{_WORD})",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(r"\s?(?:CREATE|ALTER) (?:USER|ROLE|LOGIN|GROUP)\b", re.IGNORECASE)
_ATTACH = re.compile(r"\s?ATTACH\b", re.IGNORECASE)
_SET = re.compile(
    r"\s?(?:SET|ALTER (?:SESSION|SYSTEM|ROLE|USER|DATABASE)\b.{0,200}? SET) ", re.IGNORECASE
)
_ASSIGNS = re.compile(r"=| TO ", re.IGNORECASE)
# SQL Server reads a bare word as a text here.
_EXEC = re.compile(
    r"(?:\A\s?EXEC(?:UTE)?|\bEXEC) (?!(?:IMMEDIATE|FROM|AS|AND|OR|IS|IN|NOT|LIKE|BETWEEN|THEN)\b)"
    r"[\w.@#$\"\[\]]+ (?!USING\b|AS\b|\()",
    re.IGNORECASE,
)
_VALUE = re.compile(r"(?<![\w@.$])[^\W\d][\w.$-]*+(?! ?:?=)")
_SAID = frozenset(
    re.findall(
        r"\w+", "ON OFF TRUE FALSE DEFAULT NULL NONE SESSION LOCAL GLOBAL PERSIST OUTPUT OUT"
    )
)
_GUARD = re.compile(r"IDENTIFIED|PRAGMA|\A\s?(?:SET|ALTER|CREATE|ATTACH)|\bEXEC|;", re.IGNORECASE)


def without_bare_values(shape: str) -> str:
    """The statement without such values; its literals are replaced, its white space is single."""
    if _GUARD.search(shape) is None:
        return shape
    return ";".join(map(_of_one, shape.split(";")))


def _of_one(statement: str) -> str:
    for pattern in _PASSWORDS:
        statement = pattern.sub(_masked, statement)
    if _ATTACH.match(statement):
        return _OF_ATTACH.sub(_masked, statement)
    if _ACCOUNT.match(statement):
        statement = _OF_ACCOUNT.sub(_masked, statement)
    found = _EXEC.search(statement)
    if found is None and (found := _SET.match(statement)) is not None:
        found = _ASSIGNS.search(statement, found.end())
    if found is None:
        return statement
    return statement[: found.end()] + _VALUE.sub(_value, statement[found.end() :])


def _masked(found: re.Match[str]) -> str:
    replaced = found.groupdict().get("replace")
    return f"{found['before']}?" + (f"{replaced}?" if replaced else "")


def _value(found: re.Match[str]) -> str:
    return found[0] if found[0].upper() in _SAID else "?"
