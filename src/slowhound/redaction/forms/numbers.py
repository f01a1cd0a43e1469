"""Masks numbers with check digits: cards, bank accounts; and US social security numbers.

A candidate is matched as a whole, and judged in Python: a pattern that required digits behind
digits would read a long number again from each of its digits.
"""

from __future__ import annotations

import re
import string

from slowhound.redaction.mask import MASK, masked

_RUN = re.compile(r"[0-9](?<![\w.][0-9])[0-9 -]{12,}+")
_GROUP = re.compile(r"[0-9]++")
# From its first hyphen on: the search for one character is quick.
_SSN = re.compile(
    r"-[0-9]{2}-(?<![\w-][0-9]{3}-..-)(?<=[0-9]{3}-..-)(?<!000-..-)(?<!666-..-)(?<!9..-..-)(?<!-00-)"
    r"(?!0000)[0-9]{4}(?![\w-])"
)
# First digits and lengths by issuer (ISO/IEC 7812): of random numbers of sixteen digits one in
# fifty is masked. Visa's and Maestro's rare numbers of 19 digits are not here, because ids of that
# length are everywhere.
_ISSUED = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15})"  # Visa
    # Mastercard
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|220[0-4][0-9]{12}(?:[0-9]{3})?"  # Mir
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|095|[689][0-9])[0-9]{11}|36[0-9]{12,14}"  # Diners Club
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12}"  # Discover, RuPay
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|62[0-9]{14,17}|81[0-9]{14}"  # UnionPay
    r"|(?:5018|5019|502[0-9]|503[0-9]|5[68][0-9]{2}|6304|67[0-9]{2})[0-9]{12}"  # Maestro, Dankort
    r"|(?:50[0-9]{2}|60[0-9]{2}|82[0-9]{2})[0-9]{12}"  # Elo, RuPay, Hipercard, Verve
)
# The groups of the digits on a card.
_GROUPED = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1)}
# The digits first: they are rarer than capitals.
_IBAN = re.compile(r"[0-9]{2}(?<=[A-Z]{2}..)(?<![A-Za-z0-9_]....)(?=(?P<rest>[A-Z0-9 -]{11,42}+))")
# The length of an IBAN, https://www.swift.com/standards/data-standards/iban-international-bank-account-number
_COUNTRIES_BY_LENGTH = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS = {
    country: length
    for length, countries in _COUNTRIES_BY_LENGTH.items()
    for country in countries.split()
}


# A is 10, Z is 35.
_AS_NUMBERS = str.maketrans({each: str(int(each, 36)) for each in string.ascii_uppercase})


_NO_DIGITS = dict.fromkeys(map(ord, string.digits))
# A social security number has 9.
SHORTEST_NUMBER = 9


def without_numbers(text: str) -> str:
    """``text`` with the numbers of cards, bank accounts and social security masked."""
    if len(text) - len(text.translate(_NO_DIGITS)) < SHORTEST_NUMBER:  # 1 µs
        return text
    text = _RUN.sub(_without_cards, text)
    if "-" in text:
        text = masked(text, [(found.start() - 3, found.end()) for found in _SSN.finditer(text)])
    return text if text == text.lower() else _without_ibans(text)


def _without_cards(found: re.Match[str]) -> str:
    run = found[0]
    groups = [group.span() for group in _GROUP.finditer(run)]
    sizes = [end - start for start, end in groups]
    if len(groups) < 3 and max(sizes) < 13:
        return run
    parts, kept, at = [], 0, 0
    while at < len(groups):
        many = 1
        start = groups[at][0]
        for many in (1,) if 13 <= sizes[at] <= 19 else (4, 3, 5):
            end = groups[min(at + many, len(groups)) - 1][1]
            is_grouped = many == 1 or tuple(sizes[at : at + many]) in _GROUPED
            if is_grouped and _is_card(found, start, end):
                parts += [run[kept:start], MASK]
                kept = end
                break
        else:
            many = 1
        at += many
    return "".join([*parts, run[kept:]]) if parts else run


def _is_card(found: re.Match[str], start: int, end: int) -> bool:
    """True for the number of a card that stands by itself, grouped in one way."""
    grouped = found[0][start:end]
    digits = grouped.replace(" ", "").replace("-", "")
    gaps = len(grouped) - len(digits)
    if _ISSUED.fullmatch(digits) is None or not luhn(digits):
        return False
    if gaps not in (grouped.count(" "), grouped.count("-")) or gaps > 4:
        return False
    text, start, end = found.string, found.start() + start, found.start() + end
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    if before.isalnum() or before in ("_", ".") or after[:1].isalnum() or after[:1] == "_":
        return False  # a part of a name, of a hash or of a fraction
    if after[:1] == "." and after[1:].isdigit():
        return False
    is_longer = after[:1] == "-" or (
        before == "-" and text[max(0, start - 2) : start - 1].isdigit()
    )
    return "-" in grouped or not is_longer  # as a UUID is


_DOUBLED = str.maketrans("0123456789", "0246813579")


def luhn(digits: str) -> bool:
    """True when the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    return sum(map(int, digits[-1::-2] + digits[-2::-2].translate(_DOUBLED))) % 10 == 0


def _without_ibans(text: str) -> str:
    parts, kept = [], 0
    for found in _IBAN.finditer(text):
        start = found.start() - 2
        if start >= kept and (end := _end_of_iban(found, text[start : found.end()])):
            parts += [text[kept:start], MASK]
            kept = end
    return "".join([*parts, text[kept:]]) if parts else text


def _end_of_iban(found: re.Match[str], first: str) -> int:
    """The end of the IBAN that begins here; 0 when there is none."""
    length = _IBAN_LENGTHS.get(first[:2], 0) - 4
    plain = found["rest"].replace(" ", "").replace("-", "")[:length]
    if len(plain) != length or int((plain + first).translate(_AS_NUMBERS)) % 97 != 1:
        return 0
    end = found.end()
    for each in plain:
        end = found.string.index(each, end) + 1
    return 0 if found.string[end : end + 1].isalnum() else end
