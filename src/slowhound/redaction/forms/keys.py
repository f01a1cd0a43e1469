"""Masks private keys in texts of several lines, whole or cut at either end, and in JSON."""

from __future__ import annotations

import re

from slowhound.redaction.mask import MASK

# Without an end, up to the end of the text. RFC 7468, RFC 4716 (four dashes), RFC 9580 (BLOCK).
_PEM = re.compile(
    r"----[- ]?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?----.*?"
    r"(?:----[- ]?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-----?|\Z)",
    re.DOTALL,
)
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# https://the.earth.li/~sgtatham/putty/0.83/htmldoc/AppendixC.html
_PUTTY = re.compile(r"(?<=Private-Lines:).*?(?:Private-MAC: ?[0-9a-fA-F]++|\Z)", re.DOTALL)
# A line of PEM has 64 characters, but for the last one.
_LINE = re.compile(r"[A-Za-z0-9+/]{40,}+={0,2}\Z")
_LAST_LINE = re.compile(r"[A-Za-z0-9+/]++={0,2}\Z")
# The secret numbers of a JSON Web Key (RFC 7518, section 6). Elsewhere such names mean nothing.
_JWK = re.compile(
    r"(?<=[\"'])(?P<name>(?:d|p|q|dp|dq|qi|k)\\{0,3}[\"']\s{0,4}:\s{0,4}\\{0,3}[\"'])[\w+/=-]{16,}+"
)
_BREAK = re.compile(r"(\\r\\n|\\n|\s)")


def without_keys(text: str) -> str:
    """``text`` with its private keys masked."""
    if "PRIVATE KEY" in text:
        text = _PEM.sub(MASK, text)
        found = _END.search(text)
        if found is not None:
            text = _without_lines(text[: found.start()]) + MASK + text[found.end() :]
    if "kty" in text:
        text = _JWK.sub(rf"\g<name>{MASK}", text)
    return _PUTTY.sub(MASK, text) if "Private-Lines:" in text else text


def _without_lines(before: str) -> str:
    """The lines before the end of a key whose beginning was cut off."""
    pieces = _BREAK.split(before)
    last = len(pieces)
    kind = _LAST_LINE
    while last > 0 and (
        not pieces[last - 1] or _BREAK.fullmatch(pieces[last - 1]) or kind.match(pieces[last - 1])
    ):
        if pieces[last - 1] and not _BREAK.fullmatch(pieces[last - 1]):
            kind = _LINE
        last -= 1
    return "".join(pieces[:last])
