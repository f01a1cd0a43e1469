"""Secrets of all kinds in realistic texts, for views and for their tests."""

from __future__ import annotations

import base64
from typing import NamedTuple


class Planted(NamedTuple):
    """A text with a secret in it; none of ``needles`` may be seen anywhere."""

    text: str
    needles: tuple[str, ...]


def core(number: int) -> str:
    """A password that is in no other text."""
    return f"hunter2x{number:02}zq"


# {} is the password, which its name reveals.
_NAMED = (
    "password='{}'",
    '"token": "{}"',
    "Authorization: Bearer {}",
    "Cookie: theme=dark; sessionid={}",
    "Set-Cookie: csrftoken={}; Path=/",
    "api_key={}",
    "SECRET_KEY = '{}'",
    '{{\\"client_secret\\": \\"{}\\"}}',
    "passphrase: {}",
    "X-Api-Key: {}",
    "csrfmiddlewaretoken={}&next=1",
    "<password>{}</password>",
    "mysqldump --password {} shop",
    "['pg_dump', '--password', '{}']",
    "card_number={}",
    "cvv={}",
    "user_pin: '{}'",
    "otp_code={}",
    "X-Amz-Signature={}",
    "PHPSESSID={}",
    "user[password]={}",
    "host=db user=shop password={} dbname=shop",
    "Server=db;Pwd={};Database=shop",
    "aws_secret_access_key = {}",
    "{{'credentials': ['{}', 1]}}",
    "newPassword1 => {}",
    "maiden_name={}",  # of the setting MASK
    '<login user="ada" password="{}"/>',
    '<wsse:Password Type="text">{}</wsse:Password>',
    "{{&quot;password&quot;: &quot;{}&quot;}}",
    "password%3D{}",
    '{{"name": "password", "value": "{}"}}',
    "(b'authorization', b'Bearer {}')",
    "curl -u ada:{} https://shop.example/",
    "Digest username=ada, realm=shop, response={}",
)
# {} is a part of a secret whose form is known.
_SHAPED = (
    "https://shop:{}@api.example.com/v1",
    "postgres://shop:{}@10.0.0.5:5432/shop",
    "redis://:{}@cache/0",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.{}",
    "-----BEGIN RSA PRIVATE KEY----- {} -----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY----- {}",
    "ghp_{}abcdefghijklmnop",
    "glpat-{}-abcdefgh",
    "xoxb-123456789012-{}",
    "sk_live_{}abcdefgh",
    "AIzaSy{}-abcdefghijklmnopqrs",
    "$2b$12${}abcdefghijklmnopqrstuvwxyzABCDEFGHIJK",
    "pbkdf2_sha256$870000${}$abcdef=",
    "SG.{}abcdefgh.abcdefghijklmnopq",
    "{}:1tAbCd:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ",
    "npm_{}abcdefghijklmnop",
    "ACME-{}-7",  # of the setting MASK
    "eyJhbGciOiJkaXIifQ..{}abcdefgh.abcdefghijkl.abcdefgh",
    "glsa_{}abcdefghijklmnopqrstu_a1b2c3d4",
    "https://hooks.slack.com/services/T00000000/B00000000/{}abcdefghijkl",
    "https://shop.example/callback?code={}&state=abcdefgh",
)
_FIXED = (
    Planted("AKIAIOSFODNN7EXAMPLE", ("AKIAIOSFODNN7",)),
    Planted("4111 1111 1111 1111", ("4111 1111", "41111111")),
    Planted("5500005555555559", ("5500005555555559",)),
    Planted("GB82WEST12345698765432", ("WEST123456",)),
    Planted("078-05-1120", ("078-05-1120",)),
    Planted("c5abcd-0123456789abcdef0123456789abcdef", ("0123456789abcdef0123",)),
    Planted(
        f"Basic {base64.b64encode(b'shop:hunter2basic1').decode()}",
        (base64.b64encode(b"shop:hunter2basic1").decode(), "hunter2basic1"),
    ),
)
MASK = [r"maiden", r"value:ACME-\w+-\d"]


def _made(texts: tuple[str, ...], first: int) -> list[Planted]:
    return [
        Planted(text.format(core(number)), (core(number),))
        for number, text in enumerate(texts, first)
    ]


KINDS = [*_made(_NAMED, 0), *_made(_SHAPED, len(_NAMED)), *_FIXED]
# For a whole request, protected by names and decorators only.
BY_NAME = "hunter2byname"
# What no output may contain, for any request.
NEEDLES = tuple({needle for kind in KINDS for needle in kind.needles} | {BY_NAME})


def mark(place: str, number: int) -> str:
    """A harmless word beside the secret: an output that has it had the secret, too."""
    return f"mark_{place}_{number:02}_end"
