"""Values that stand behind a secret name in a text: ``password=x``, ``"token": "x"``, and so on."""

from __future__ import annotations

import re

from slowhound.redaction.names import is_secret
from slowhound.redaction.values import MASK

# What a value can stand behind: name=, "name": , name => , <name>, --name , and their kin.
NAMED = re.compile(
    r"""(?P<dashes>--)?(?P<tag><)?(?P<prefix>\\{0,4}["'])?(?<![A-Za-z0-9_])"""
    r"""(?P<name>[A-Za-z_][\w.\-]{0,100}+(?:\[[\w.\-]{0,40}+\]){0,3})(?:\\{0,4}["'])?"""
    r"""(?(tag)(?:\s[^<>]{0,100})?>|(?:\s{0,4}(?:=>|:=|==?|:)\s{0,4}|(?(dashes),?\s{1,4}|(?!))))"""
)
VALUE = re.compile(
    r"""[bBuUrR]{0,2}(?P<quoted>"(?:[^"\\]++|\\.)*(?:"|\Z)|'(?:[^'\\]++|\\.)*(?:'|\Z))"""
    r"""|(?P<escape>\\+["']).*?(?:(?P=escape)|\Z)"""
    r"""|[\[({][^\])}]*+[\])}]?"""
    r"""|(?:(?:bearer|basic|digest|token|negotiate|apikey)\s+)?[^\s,;&|)\]}'"<>\\]*+""",
    re.DOTALL | re.IGNORECASE,
)
_IN_TAG = re.compile(r"[^<]*+")
_TO_LINE_END = re.compile(r"""(?!["'\\\[({])[^\r\n]*+""")
_HEADERS = ("authorization", "cookie")


def mask_named(value: str) -> str:
    parts, position, kept = [], 0, 0
    while (found := NAMED.search(value, position)) is not None:
        position = found.end()
        name = found["name"]
        if not is_secret(name):
            continue
        secret = _value_pattern(found).match(value, position)
        if secret is None or secret.end() == position:
            continue
        parts += [value[kept:position], masked_value(secret)]
        position = kept = secret.end()
    return "".join([*parts, value[kept:]]) if parts else value


def _value_pattern(found: re.Match[str]) -> re.Pattern[str]:
    if found["tag"]:
        return _IN_TAG
    is_header = found["prefix"] is None and found["name"].lower().endswith(_HEADERS)
    following = found.string[found.end() : found.end() + 1]
    return _TO_LINE_END if is_header and following not in "\"'\\[({" else VALUE


def masked_value(secret: re.Match[str]) -> str:
    if secret.re is VALUE:
        quoted, escape = secret["quoted"], secret["escape"]
        if quoted:
            return f"{quoted[0]}{MASK}{quoted[0]}"
        if escape:
            return f"{escape}{MASK}{escape}"
    return MASK
