"""Finds passwords without a name in command lines: ``mysql -psecret``, ``curl -u user:password``.

An option such as ``-p`` means a password only for the programs that have it.
"""

from __future__ import annotations

import re

# Programs, their options with a password in the next word, and those with one in the same word.
# With a colon: a user and a password. From their manuals.
_TABLE = (
    ("mysql,mysqldump,mysqladmin,mysqlimport,mysqlcheck,mysqlshow,mysqlslap", "", "p"),
    ("mycli,mariadb,mariadb-dump,mariadb-admin,mariadb-import", "", "p"),
    ("sshpass", "p", "p"),
    ("curl", "u: U: user: proxy-user: E: cert:", "u: U:"),
    ("http,https,httpie,xh", "a: auth:", "a:"),
    ("redis-cli,valkey-cli", "a pass", "a"),
    ("docker login,podman login,nerdctl login,buildah login,skopeo login", "p", "p"),
    ("az login,oc login,registry login,auth login", "p", "p"),
    ("twine upload", "p", "p"),
    ("mongo,mongosh,mongodump,mongorestore,mongoexport,mongoimport", "p", "p"),
    ("ldapsearch,ldapmodify,ldapadd,ldapdelete,ldappasswd,ldapwhoami", "w", "w"),
    ("zip,unzip", "P", "P"),
    ("7z,7za", "", "p"),
    ("sqlcmd,bcp", "P", "P"),
    ("smbclient,rpcclient", "U: user:", "U:"),
)
_APART = {program: apart.split() for row, apart, _ in _TABLE for program in row.split(",")}
_WITHIN = {program: within.split() for row, _, within in _TABLE for program in row.split(",")}
# Each program has one of these in its name. Most texts have none, and are not searched.
_NAMES = (
    "curl mysql mycli mariadb sshpass http xh -cli login twine mongo ldap zip 7z sqlcmd bcp client"
)
_ROOTS = tuple(_NAMES.split())
_FIND = re.compile(
    r"(?<![\w.-])(?P<program>" + "|".join(map(re.escape, _APART)) + r")(?=[\s'\"])"
    r"|(?<=[\s'\"])(?:--(?P<long>user|proxy-user|pass|auth|cert)|-(?P<short>[puUaPwE]))"
    r"(?P<gap>[\"']?[\s=,]{1,4}[bru]?[\"']?|)"
    r"|(?P<end>[\n;|])"
)
# No person types more options in one text.
OPTIONS_LIMIT = 24
_WORD = re.compile(r"[^\s'\"]*+")
_QUOTE = {quote: re.compile(rf"[^{quote}]*+") for quote in "'\""}


def passwords_in(text: str) -> list[tuple[int, int]]:
    """The places of the passwords of command lines in a text."""
    if "-" not in text:
        return []
    if " -" not in text and "'-" not in text and '"-' not in text:
        return []
    if not any(root in text for root in _ROOTS):
        return []
    spans: list[tuple[int, int]] = []
    program, until, options_read = "", 0, 0
    for found in _FIND.finditer(text):
        if found["program"]:
            program = found["program"]
        elif found["end"]:
            program = ""
        elif program and found.start() >= until:
            options_read += 1
            if options_read > OPTIONS_LIMIT:
                return [*spans, (found.end(), len(text))]
            span = _password(text, found, program)
            if span is not None:
                spans.append(span)
                until = span[1]
                program = "" if program == "sshpass" else program  # the rest is another program's
    return spans


def _password(text: str, found: re.Match[str], program: str) -> tuple[int, int] | None:
    option = found["long"] or found["short"]
    gap, start = found["gap"], found.end()
    options = (_APART if gap else _WITHIN)[program]
    if option not in options and f"{option}:" not in options:
        return None
    before = text[start - 1] if gap or text[start : start + 1] not in ("'", '"') else ""
    if not before:
        before, start = text[start], start + 1
    end = (_QUOTE.get(before) or _WORD).match(text, start).end()  # type: ignore[union-attr]
    if option not in options:  # without a colon, the program prompts for the password
        colon = re.search("[:%]", text[start:end])
        return (start + colon.end(), end) if colon and start + colon.end() < end else None
    return (start, end) if end > start else None
