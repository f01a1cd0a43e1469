"""Values that are secret whatever they are called: tokens, keys, cards, addresses with a password.

Everything here takes time in proportion to the text: repetitions are possessive or bounded. Why no
group is possessive is in ``sql``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from slowhound.redaction.names import OF_VALUES

MASK = "********************"  # Django's own cleansed_substitute

# Formats whose makers gave them a shape that says what they are.
_SHAPES = (
    r"eyJ[\w-]{5,}+\.[\w-]{5,}+(?:\.[\w-]*+){0,3}",  # JWT, JWE
    r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{20,}+",  # GitHub
    r"github_pat_\w{20,}+",
    r"glpat-[\w-]{16,}+",  # GitLab
    r"xox[abeoprs]-[\w-]{8,}+",  # Slack
    r"(?:[srp]k|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}+",  # Stripe
    r"sk-[\w-]{20,}+",  # OpenAI, Anthropic
    r"AIza[\w-]{30,}+",  # Google
    r"ya29\.[\w-]{16,}+",
    r"SG\.[\w-]{16,}+\.[\w-]{16,}+",  # SendGrid
    r"(?:npm|pypi|dop_v1|hvs|hf|shpat)[-_.][\w-]{20,}+",
    r"SK[0-9a-f]{32}(?!\w)",  # Twilio
    r"[0-9]{8,10}:AA[\w-]{32,}+",  # Telegram
    r"AGE-SECRET-KEY-1[A-Z0-9]{20,}+",
    # Django's: a link that resets a password, what its Signer signed.
    r"[0-9a-z]{5,7}-[0-9a-f]{32}(?!\w)",
    r"[\w.=-]{2,400}+:[A-Za-z0-9]{5,8}:[\w-]{43}(?![\w-])",
)
_SHAPED = re.compile(r"(?<![A-Za-z0-9_])(?:" + "|".join(_SHAPES) + ")")
# All of them are found in one of these.
_RUN = re.compile(r"[\w.=:-]{16,}+")
_DIGIT = re.compile(r"[0-9]")
# Stored passwords, of Django and of crypt(3).
_HASH = re.compile(
    r"(?<!\w)(?:(?:pbkdf2_\w{1,20}+|argon2\w{0,4}+|bcrypt\w{0,10}+|scrypt|md5)\$[^\s'\"]{8,}+"
    r"|\$(?:2[abxy]|[156y]|argon2\w{0,3}+|scrypt)\$[\w./$=,+-]{20,}+)"
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
# user:password@ of an address; a name alone stays, a long one is a token.
_USERINFO = re.compile(
    r"(?<=://)(?P<user>[^\s/?#:@'\"<>]*+)(?::(?P<password>[^\s/?#'\"<>]*)(?=@)|(?=@))(?P<at>@)"
)
_TOKEN_LENGTH = 16
_SCHEME = re.compile(
    r"\b(?P<scheme>bearer|basic|token|digest|negotiate|apikey)(?P<space>\s{1,4})"
    r"(?=[A-Za-z_+/=.~-]{0,200}[0-9=])[\w+/=.~-]{6,}+",
    re.IGNORECASE,
)
_DIGITS = re.compile(
    r"(?<![\w.])(?:[0-9]{12,19}|[0-9]{4}(?P<gap>[ -])[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{1,7}"
    r"|3[0-9]{3}(?P<space>[ -])[0-9]{6}(?P=space)[0-9]{4,5})(?![\w-])(?!\.[0-9])"
)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])")
# First digits and lengths of the issuers: of sixteen random digits one in a hundred is masked.
_ISSUED = re.compile(
    r"4[0-9]{12}(?:[0-9]{3}){0,2}|(?:5[1-5]|2[2-7])[0-9]{14}|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11}|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12}|35[0-9]{14}"
    r"|62[0-9]{14,17}|(?:50|5[6-9]|67)[0-9]{10,17}"
)
# In each card, IBAN and social security number.
_FOUR = re.compile(r"[0-9][0-9 -][0-9][0-9-]")

# Of the setting MASK.
more: list[re.Pattern[str]] = []


def extend(patterns: Iterable[str]) -> None:
    """What the ``value:`` entries of ``MASK`` find is secret too; replaces the last ones."""
    global more
    found = [each.removeprefix(OF_VALUES) for each in patterns if each.startswith(OF_VALUES)]
    more = [re.compile(each) for each in found]


def mask_values(text: str) -> str:
    """``text`` with each value masked that shows by its form that it is secret."""
    for each in more:
        text = each.sub(MASK, text)
    # Nearly every text has none of these, and a path is looked at in each request.
    if "PRIVATE KEY" in text:
        text = _PEM.sub(MASK, text)
    if "://" in text and "@" in text:
        text = _USERINFO.sub(_without_password, text)
    text = _RUN.sub(_without_tokens, text)
    if "$" in text:
        text = _HASH.sub(MASK, text)
    if " " in text:
        text = _SCHEME.sub(rf"\g<scheme>\g<space>{MASK}", text)
    if _FOUR.search(text) is not None:
        text = _DIGITS.sub(_without_card, text)
        text = _SSN.sub(MASK, text)
        text = _IBAN.sub(_without_iban, text)
    return text


def _without_tokens(found: re.Match[str]) -> str:
    run = found[0]
    plain = _DIGIT.search(run) is None and "eyJ" not in run  # a long word, as in most paths
    return run if plain else _SHAPED.sub(MASK, run)


def _without_password(found: re.Match[str]) -> str:
    user = found["user"]
    if found["password"] is None:
        return f"{MASK}@" if len(user) >= _TOKEN_LENGTH else found[0]
    return f"{user}:{MASK}@"


def _without_card(found: re.Match[str]) -> str:
    digits = re.sub(r"[ -]", "", found[0])
    return MASK if _ISSUED.fullmatch(digits) and luhn(digits) else found[0]


def luhn(digits: str) -> bool:
    """True when the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    doubled = (sum(divmod(int(each) * 2, 10)) for each in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _without_iban(found: re.Match[str]) -> str:
    plain = found[0].replace(" ", "")
    number = int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4]))
    return MASK if 15 <= len(plain) <= 34 and number % 97 == 1 else found[0]
