"""Values that are secret by their form are masked in one pass; other text stays."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.redaction.forms.numbers import luhn
from slowhound.redaction.forms.token_formats import FORMATS
from slowhound.redaction.mask import MASK
from slowhound.redaction.values import mask_values

PAYLOAD = "eyJzdWIiOiI0MiJ9"
HEADER = "eyJhbGciOiJIUzI1NiJ9"
DASHES = "-" * 5
LINE = "MIIEpAIBAAKCAQEA" + "hunter2x" * 6


@pytest.mark.parametrize(
    "token",
    [
        f"{HEADER}.{PAYLOAD}.c2lnbmF0dXJl",
        f"{HEADER}.{PAYLOAD}.",  # alg: none
        f"{HEADER}.{PAYLOAD}",
        f"{HEADER}..c2lnbmF0dXJl",  # detached
        f"{HEADER}..aXY.Y2lwaGVydGV4dA.dGFn",  # JWE with a direct key
        f"{HEADER}.a2V5a2V5.aXY.Y2lwaGVydGV4dA.dGFn",
    ],
)
def test_web_token_is_masked_with_all_its_parts(token: str) -> None:
    """Some of them may be empty."""
    assert mask_values(f"a {token} b") == f"a {MASK} b"
    assert mask_values(f"/x/{token}/y") == f"/x/{MASK}/y"
    assert mask_values(rf"a\n{token}") == rf"a\n{MASK}"


@pytest.mark.parametrize("text", [HEADER, f"{HEADER}.", "eyJs.template.html", "keyJob.runner.main"])
def test_json_in_base64_and_names_of_files_stay(text: str) -> None:
    """A cursor of a list is no token."""
    assert mask_values(text) == text


@pytest.mark.parametrize("break_", ["\n", "\\n", "\r\n", " "])
@pytest.mark.parametrize("kind", ["RSA PRIVATE KEY", "PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
def test_private_key_is_masked_over_all_its_lines(kind: str, break_: str) -> None:
    """Whole, without its end, and without its beginning."""
    start, end = f"{DASHES}BEGIN {kind}{DASHES}", f"{DASHES}END {kind}{DASHES}"
    body = break_.join([LINE, LINE, "aHVudGVy"])
    whole = break_.join([start, body, end])
    assert mask_values(f"a {whole} b") == f"a {MASK} b"
    assert mask_values(f"a {whole} b {whole} c") == f"a {MASK} b {MASK} c"
    assert mask_values(f"a {start}{break_}{LINE[:40]}") == f"a {MASK}"
    assert mask_values(f"a word{break_}{body}{break_}{end} b") == f"a word{MASK} b"


def test_certificate_and_public_key_stay() -> None:
    """They are public."""
    for kind in ("CERTIFICATE", "PUBLIC KEY"):
        text = f"{DASHES}BEGIN {kind}{DASHES}\n{'A' * 64}\n{DASHES}END {kind}{DASHES}"
        assert mask_values(text) == text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgres://shop:hunter2@db/shop", "postgres://shop:{}@db/shop"),
        ("postgres://shop:hun/ter2@db/shop", "postgres://shop:{}@db/shop"),
        ("postgres://shop:hun?ter2@db/shop", "postgres://shop:{}@db/shop"),
        ("postgres://shop:hun#ter2@db/shop", "postgres://shop:{}@db/shop"),
        ("postgres://shop:hun@ter2@db/shop", "postgres://shop:{}@db/shop"),
        ("postgres://shop:hun@ter/2@db/shop", "postgres://shop:{}@db/shop"),
        ("postgres://shop:1234/5@db/shop", "postgres://shop:{}@db/shop"),
        ("https://shop:hun@ter/2@api.example.org/", "https://shop:{}@api.example.org/"),
        ("redis://:hunter2@cache:6379/0", "redis://:{}@cache:6379/0"),
        ("https://u:hunter2@[::1]:8000/", "https://u:{}@[::1]:8000/"),
        ("git+https://u:hunter2@host.org/x@v1", "git+https://u:{}@host.org/x@v1"),
        ("https://0123456789abcdef0123456789abcdef@sentry.io/1", "https://{}@sentry.io/1"),
        ("http://u:hunter2@a.org,http://v:hunter2@b.org", "http://u:{0}@a.org,http://v:{0}@b.org"),
        ("jdbc:oracle:thin:scott/hun/ter2@db:1521", "jdbc:oracle:thin:scott/{}@db:1521"),
    ],
)
def test_password_of_an_address_is_masked(address: str, shown: str) -> None:
    """Also one with characters that people should have escaped."""
    for around in ("{}", "at {} failed", "'{}'", '{{"url": "{}"}}', "<{}>"):
        assert mask_values(around.format(address)) == around.format(shown.format(MASK))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Bearer x", "Bearer {}"),
        ("Bearer hunter2", "Bearer {}"),
        ("bearer abcdefghijklmnopqrstuvwxyzA", "bearer {}"),
        ("Basic eA==", "Basic {}"),
        (f"Basic {base64.b64encode(b'shop:hunter').decode()}", "Basic {}"),
        ("Token 0123456789abcdef", "Token {}"),
        ("SSWS x", "SSWS {}"),
        ("ApiKey hunter2hunter2", "ApiKey {}"),
        ("GenieKey 01234567-89ab", "GenieKey {}"),
        ("DPoP aHVudGVyMg", "DPoP {}"),
        ("Splunk 01234567-89ab", "Splunk {}"),
        ("Negotiate YIIHunter2", "Negotiate {}"),
        (
            'Digest username="ada", nonce="n", response="hunter2"',
            'Digest username="ada", nonce="n", response="{}"',
        ),
        (
            "AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=host, Signature=hunter2",
            "AWS4-HMAC-SHA256 Credential={0}, SignedHeaders=host, Signature={0}",
        ),
    ],
)
def test_what_is_behind_the_name_of_a_scheme_is_masked(value: str, shown: str) -> None:
    """It is, with or without the header's name."""
    assert mask_values(value) == shown.format(MASK)
    assert mask_values(f"'{value}'") == f"'{shown.format(MASK)}'"


@pytest.mark.parametrize(
    "text",
    [
        "Basic authentication is required",
        "Basic auth",
        "expected: Bearer authentication",
        "Bearer credentials",
        "Basic HTML5 page",
        "Bearer token missing",
        "Bearer token is missing, or expired",
        'Bearer realm="shop", error="invalid_token", scope="read2 write2"',
        'Digest realm="shop", qop="auth", nonce="1"',
        "Token is invalid",
        "token 12345678 of 20000000",
        "Unexpected token IllegalCharacter x",
        "Splunk is down",
        "negotiate a price",
    ],
)
def test_prose_about_a_scheme_stays(text: str) -> None:
    """Errors mention tokens without showing one."""
    assert mask_values(text) == text


@pytest.mark.parametrize(
    "number",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "378282246310005",
        "3782 822463 10005",
        "3782-822463-10005",
        "3056 930902 5904",
        "6759649826438453",
    ],
)
def test_number_of_a_card_is_masked(number: str) -> None:
    """In the groups that are printed on it, and beside other numbers."""
    for around in ("{}", "card {} declined", "12/27 {}", "{}, 12/27", "{}.", '"{}"', "2026 {} 123"):
        assert mask_values(around.format(number)) == around.format(MASK)


def test_number_within_something_longer_is_no_card() -> None:
    """It may be in a fraction, a hash, an id or a UUID, or have two kinds of gaps."""
    for text in (
        "0.4242424242424242",
        "4242424242424242.5",
        "ab4242424242424242cd",
        "id_4242424242424242",
        "42424242424242424242",
        "1111-4242424242424242",
        "42 42 42 42 42 42 42 42",
    ):
        assert mask_values(text) == text


@given(st.integers(min_value=10**14, max_value=10**15 - 1))
def test_check_digit_is_found_by_all_ten(start: int) -> None:
    """Exactly one of ten last digits is right."""
    assert sum(luhn(f"{start}{last}") for last in range(10)) == 1


@pytest.mark.parametrize(
    "iban", ["DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947"]
)
def test_bank_account_is_masked_in_one_piece_and_in_groups(iban: str) -> None:
    """It is printed in groups of four, with spaces or hyphens."""
    groups = [iban[at : at + 4] for at in range(0, len(iban), 4)]
    for written in (iban, " ".join(groups), "-".join(groups)):
        assert mask_values(f"to {written} failed") == f"to {MASK} failed"
        assert mask_values(f"{written}.") == f"{MASK}."


def test_other_characters_and_digits_are_no_bank_account() -> None:
    """Another country, another length, a wrong check digit, or a place within a word."""
    for text in (
        "XX89370400440532013000",
        "DE8937040044053201300",
        "DE893704004405320130001",
        "DE89370400440532013001",
        "aDE89370400440532013000",
    ):
        assert mask_values(text) == text


def test_stored_passwords_and_signed_values_are_masked() -> None:
    """They are of Django, crypt(3), LDAP and PostgreSQL."""
    signature = "hunter2x" * 5 + "abc"
    for secret in (
        f"pbkdf2_sha256$870000$salt${signature}=",
        f"$2b$12${signature}{signature}"[:60],
        f"$apr1$salt1234${signature}"[:37],
        f"{{SSHA}}{signature[:32]}",
        f"SCRAM-SHA-256$4096:c2FsdA==${signature}=:{signature}=",
        f"eyJhIjoxfQ:1tAbCd:{signature}",
        f".eJxVjMsKwjAQ:1tAbCd:{signature}",
    ):
        assert mask_values(f"a {secret} b") == f"a {MASK} b"
    assert signature[:32] not in mask_values("/reset/MQ/c5abcd-0123456789abcdef0123456789abcdef/")


# What patterns begin with, and what they go on with.
HOSTILE = [
    *(
        "eyJ--",
        "eyJa.",
        "eyJ.",
        "a:b@",
        "://a:b@",
        "://a:",
        "://@",
        ":thin:a/",
        "oracle: @ :thin:a/",
    ),
    *(
        "bearer ",
        "Bearer 1",
        "Basic =",
        "token a1",
        "digest a=",
        "oauth a=1 ",
        "-",
        ".",
        ":",
        "$",
        "/",
    ),
    *(
        "1",
        "1 ",
        "1-",
        "4242 ",
        "4242-",
        "123-45-",
        "DE89 ",
        "DE89",
        "GB82WEST",
        "a-b_c.",
        "Q~",
        "-us1",
    ),
    *(
        "$1$",
        "md5$",
        "$P$",
        "{SHA}",
        ":aaaaaa:",
        "-0123456789abcdef",
        "SCRAM-SHA-256$",
        "a=",
        "%3D",
    ),
    *("hooks.slack.com/services/", "/hooks/", "AccountKey=", "&sig=", "discord.com/api/webhooks/"),
    *(f"{DASHES}BEGIN PRIVATE KEY{DASHES}", f"{DASHES}END PRIVATE KEY{DASHES}", "Private-Lines:"),
    *("MIIE/", "MIIE\\n", ".a1b2c3.", ":AA", ".atlasv1.", "x" * 63 + " "),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", [*HOSTILE, *(row.prefix for row in FORMATS[::7])])
@pytest.mark.parametrize("end", ["", " ", "@", "="])
def test_hostile_text_is_read_in_one_pass(piece: str, end: str) -> None:
    """A hundred thousand characters, read again from each of them, would take minutes."""
    mask_values(piece * (100_000 // len(piece)) + end)


def test_each_beginning_of_a_token_repeated_is_read_in_one_pass() -> None:
    """All of the table is tried, with and without something between."""
    for row in FORMATS:
        for between in ("", "-", " ", "a1"):
            mask_values((row.prefix + between) * (20_000 // len(row.prefix)) + " ")


@given(st.text(alphabet="ab1 :=\"'@/<>-._$eyJghp_sk-AKIAxoxbBearer4242DE89{}%\\n\n", max_size=120))
def test_masked_twice_is_masked_once(text: str) -> None:
    """A mask is no secret, and no text makes it fail."""
    once = mask_values(text)
    assert mask_values(once).replace(MASK, "") == once.replace(MASK, "")
