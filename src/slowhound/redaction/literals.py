"""Names and the literals behind them, in a line of source code."""

from __future__ import annotations

import re

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


def masked_value(secret: re.Match[str]) -> str:
    if secret.re is VALUE:
        quoted, escape = secret["quoted"], secret["escape"]
        if quoted:
            return f"{quoted[0]}{MASK}{quoted[0]}"
        if escape:
            return f"{escape}{MASK}{escape}"
    return MASK
