"""Masks credentials by their place: in an address, or behind the name of a scheme."""

from __future__ import annotations

import base64
import binascii
import re

from slowhound.redaction.mask import MASK
from slowhound.redaction.pairs.prose import is_parsed
from slowhound.redaction.pairs.words import ALGORITHM

# Ends of an address in prose, in a list, and in JSON.
_ADDRESS = re.compile(r"[^\s'\"<>`]*+")
_AUTHORITY = re.compile(r"[^/?#]*+")
_PORT = re.compile(r"[0-9]{0,5}\Z")
_NAME = re.compile(r"[a-z]{1,15}(?:[._-][a-z]{1,15}){0,9}\Z|[A-Z]{1,20}\Z")
_LAST_WORD = re.compile(r"[A-Za-z0-9]{1,20}\Z")
_TOKEN_LENGTH = 16  # a user with a longer name is a token
# Schemes whose addresses may have a path with an @ behind the port.
_WEB = ("http", "https", "ws", "wss", "ssh", "git", "ftp")
# shop:latest@sha256:...
_IMAGES = ("docker", "oci", "daemon", "storage")
_ORACLE = re.compile(r":(?:thin|oci8?):(?P<rest>[^\s'\"<>`]*+)")

# The space first, because a search for one character is quick; no word of a sentence may follow it;
# then what precedes it.
_SCHEME = re.compile(
    r" (?![a-z]{0,30}[ ,])(?<=[A-Za-z] )(?:(?i:(?<=\bbearer )|(?<=\bbasic )|(?<=\btoken )"
    r"|(?<=\bapikey )|(?<=\bapi-key )|(?<=-oauthtoken )|(?<=\bgeniekey )|(?<=\bnegotiate )"
    r"|(?<=\bdpop )|(?<=\bntlm )|(?<=\bssws )|(?<=\bauth plain )"
    r"|(?<=\bauth login )|(?<=\bsplunk ))) {0,3}+"
    r"(?P<credential>[^\s,;'\"<>()\[\]{}*\\]++)"
)
_SCHEME_NAME = re.compile(r"[A-Za-z]{1,20}\Z")
# Schemes whose parameters, up to the end of the line, are signed.
_SIGNERS = ("digest ", "sha256 ", "hawk ", "oauth ")
_SIGNING = re.compile(
    r"\b(?:digest|[a-z0-9]{2,9}-hmac-sha256|hawk|oauth) (?P<parameters>[\w-]{1,40}+=[^\r\n]*+)",
    re.IGNORECASE,
)
_SIGNED = re.compile(
    r"(?<![\w-])(?P<name>response|cnonce|signature|credential|mac|access_token|client_token"
    r"|oauth_(?:token|signature|consumer_key|verifier))(?P<equals>=\"?)[^\s\"',;*]++",
    re.IGNORECASE,
)
# A server's challenge: Basic realm="shop".
_ASKED = re.compile(r"(?:realm|error|error_description|scope|charset|algs)=", re.IGNORECASE)
_MIXED = re.compile(r"[^0-9]{0,200}[0-9]|[^a-z]{0,200}[a-z]{1,200}[A-Z]")
_PROSE = frozenset(
    """
    token tokens auth authentication authorization authorisation required missing invalid expired
    is was are has not no or and in for from of to the a an scheme header headers credential
    credentials challenge error errors realm format prefix type method only failed string value
    """.split()  # noqa: SIM905
)


def without_passwords(text: str) -> str:
    """``text`` with the password of each address masked, and the name of a user that is a token."""
    first, *rest = text.split("://")
    shown = [first]
    for before, each in zip([first, *rest], rest, strict=False):
        address = _ADDRESS.match(each)
        end = address.end() if address else 0
        scheme = _LAST_WORD.search(before[-20:])
        name = scheme[0].lower() if scheme else ""
        shown.append(_without_password(name, each[:end]) + each[end:])
    return "://".join(shown)


def without_oracle_passwords(text: str) -> str:
    """``jdbc:oracle:thin:scott/tiger@db:1521``."""
    return _ORACLE.sub(_without_oracle_password, text)


def _without_oracle_password(found: re.Match[str]) -> str:
    user, slash, rest = found["rest"].partition("/")
    at = rest.rfind("@")
    if not slash or "@" in user or at < 0:
        return found[0]
    return f"{found[0][: found.start('rest') - found.start()]}{user}/{MASK}{rest[at:]}"


def _without_password(scheme: str, address: str) -> str:
    at = _end_of_user(scheme, address)
    if at < 0:
        return address
    user, colon, password = address[:at].partition(":")
    if len(user) >= _TOKEN_LENGTH and _NAME.match(user) is None:
        user = MASK
    is_masked = password and not password.strip("*")  # as kombu does
    hidden = password if is_masked or not colon else MASK
    return f"{user}{colon}{hidden}{address[at:]}"


def _end_of_user(scheme: str, address: str) -> int:
    """The place of the ``@`` behind user and password; -1 when there are none.

    People do not escape ``/``, ``?``, ``#`` and ``@`` in passwords, so that the authority seems to
    end within them. Then no port follows the colon.
    """
    if "@" not in address or scheme in _IMAGES:
        return -1
    authority = address[: len((_AUTHORITY.match(address) or [""])[0])]
    host, colon, port = authority.rpartition("@")[2].partition(":")
    before_query = address.partition("?")[0].rfind("@")
    if "@" in authority:
        is_host = colon or "." in host or host in ("", "localhost") or ":" not in authority
        within = scheme in _WEB and is_host
        return authority.rfind("@") if within else max(authority.rfind("@"), before_query)
    if not colon or authority.startswith("["):
        return -1
    if _PORT.match(port) and host:
        return -1 if scheme in _WEB else before_query
    return address.rfind("@")


def without_credentials(text: str) -> str:
    """``text`` with the credentials behind ``Bearer`` and similar words masked, unless prose."""
    if "=" in text:
        lower = text.lower()
        if any(each in lower for each in _SIGNERS):
            text = _SIGNING.sub(_without_signature, text)
    return _SCHEME.sub(_without_credential, text)


def _without_signature(found: re.Match[str]) -> str:
    start = found.start("parameters") - found.start()
    return found[0][:start] + _SIGNED.sub(rf"\g<name>\g<equals>{MASK}", found["parameters"])


def _without_credential(found: re.Match[str]) -> str:
    credential = found["credential"]
    name = _SCHEME_NAME.search(found.string[max(0, found.start() - 20) : found.start()])
    scheme = name[0] if name else ""
    plain = credential.rstrip(".:!?")
    if scheme == "token" and (
        ALGORITHM.fullmatch(plain)
        or is_parsed(found.string[max(0, found.start() - 21) : found.start() - 5])
    ):
        return found[0]
    if _ASKED.match(plain) or plain.lower() in _PROSE:
        return found[0]
    is_last = found.string[found.end() : found.end() + 1] in ("", '"', "'", "\n", "\r", "\\")
    if not _is_credential(scheme, plain, is_value=is_last and not scheme.islower()):
        return found[0]
    return found[0][: -len(credential)] + MASK


def _is_credential(scheme: str, value: str, *, is_value: bool) -> bool:
    """False for a word of a sentence; ``is_value``: it has the form of a header's value."""
    kind = scheme.lower()
    is_random = len(value) >= 6 and (_MIXED.match(value) is not None or value.endswith("="))
    if kind == "basic":
        return _is_basic(value)
    if kind == "token":
        has_both = any(map(str.isalpha, value)) and any(map(str.isdigit, value))
        return (is_random and has_both) or (is_value and len(value) in (1, 2))
    if len(value) >= 20 and _NAME.match(value) is None:
        return True
    return is_random or (is_value and kind in ("bearer", "ssws", "geniekey", "dpop"))


def _is_basic(value: str) -> bool:
    try:
        plain = base64.b64decode(value[: len(value) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in plain or value.endswith("=") or (len(value) >= 16 and plain.isascii())
