"""Finds secrets of links: responses of login providers, signed addresses, magic links."""

from __future__ import annotations

import re
from collections.abc import Iterable

from slowhound.redaction.pairs.words import is_random

# Names of the protocols, in lower case, that do not show by themselves that they are secret.
_PROVIDER_NAMES = (
    # OAuth 2.0 (RFC 6749), PKCE (RFC 7636), OpenID Connect, SAML 2.0 (bindings), WS-Federation
    "code_verifier id_token_hint login_hint_token logout_token client_assertion device_code"
    " user_code oauth_verifier samlresponse samlrequest samlart relaystate wresult wctx"
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    " x-amz-signature x-amz-credential x-amz-security-token awsaccesskeyid"
    # https://cloud.google.com/storage/docs/access-control/signed-urls
    " x-goog-signature x-goog-credential googleaccessid"
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html
    " key-pair-id"
    # Akamai's edge authorization
    " hdnts hdnea"
)
PROVIDER_NAMES = frozenset(_PROVIDER_NAMES.split())
# Names that other things have as well, and the names that accompany them when they are secret.
_TABLE = {
    "code": "state iss session_state scope authuser prompt code_verifier grant_type redirect_uri",
    "state": "code iss session_state client_id response_type id_token access_token error"
    " error_description samlresponse redirect_uri",
    "nonce": "client_id response_type",
    "policy": "signature key-pair-id",
}
_BESIDE = {name: frozenset(others.split()) for name, others in _TABLE.items()}
# A path that a provider redirects to.
_ANSWERED = re.compile(
    r"(?:^|[/._-])(?:callback|oauth2?|oidc|complete|authorize|authorized|redirect_uri|signin-oidc"
    r"|sso|saml|acs)(?:[/?#._-]|$)"
)
_SEGMENT = re.compile(
    r"/(?:magic|magic-?link|magic-?login|unsubscribe|verify|verify-?email|confirm|confirm-?email"
    r"|activate|activation|invite|invites|invitation|invitations|reset|reset-?password"
    r"|password-?reset|token|autologin|login|signin|sign-in|sso|join|optout|opt-out)/(?P<token>[\w.~%+=:@-]{16,400}+)"
)
_TRIFLE = re.compile(r"[0-9]{1,5}|[A-Z]{2}")


def is_provider_name(name: str) -> bool:
    """True for a name that a login provider or a signed address gives to a secret."""
    return name in PROVIDER_NAMES


def is_answer(name: str, value: str, beside: Iterable[str], path: str) -> bool:
    """True for the ``code`` or ``state`` of a login provider: the code is as good as a token.

    Args:
        name: the parameter's, in lower case.
        value: as it was sent.
        beside: the names of the other parameters, in lower case.
        path: what precedes them; it may be empty.
    """
    others = _BESIDE.get(name)
    if others is None:
        return False
    if not (is_trifle(value) or others.isdisjoint(beside)):
        return True
    return name in ("code", "state") and _ANSWERED.search(path[-300:]) is not None


def is_trifle(value: str) -> bool:
    """True for a postal code, a status, a state of a country: too short for a login provider."""
    return _TRIFLE.fullmatch(value) is not None


def may_be_answer(name: str) -> bool:
    """True for a name that may be one of ``is_answer``."""
    return name in _BESIDE


def tokens_of(lower: str) -> list[tuple[int, int]]:
    """The tokens in a path behind words such as ``unsubscribe``, but no titles of pages."""
    found = (each.span("token") for each in _SEGMENT.finditer(lower))
    return [(start, end) for start, end in found if is_random(lower[start:end])]
