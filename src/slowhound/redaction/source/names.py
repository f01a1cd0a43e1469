"""Judges the names in a line of source: how secret the literals behind them are."""

from __future__ import annotations

import re
from enum import IntEnum

from slowhound.redaction.name_table import Secrecy
from slowhound.redaction.names import secrecy_of


class Level(IntEnum):
    """Which of the literals are hidden, from here to the end of an argument or a statement."""

    NONE = 0
    DOUBT = 1  # the value itself: ``pin = "1234"``, but not ``session = get("/orders")``
    SOFT = 2  # literals without a blank; others are prose
    NAMED = 3  # all except under a harmless name of their own
    WHOLE = 4  # all


# A key in ``d["key"]``, ``sorted(key=...)``, ``for key in`` may be of anything.
_OF_THINGS = frozenset(("key", "keys"))
# ``password.value`` is the password, and so is a ``value`` beside the name of a secret.
VALUES = frozenset(
    (
        *("value", "values", "val", "default", "fallback", "initial", "data", "content", "text"),
        *("raw", "plain", "string", "literal", "new_value", "new", "example", "examples"),
        *("server_default", "db_default", "return_value", "side_effect"),
    )
)
# Keys that name the secret to which a ``value`` belongs.
KEYS_OF_NAMES = frozenset(("name", "key", "field", "id", "header", "setting", "variable"))
# Functions that take the name of a secret at this position, and its value behind that.
GETTERS = {
    **dict.fromkeys(
        ("get", "getenv", "getlist", "pop", "setdefault", "config", "env", "environ"), 0
    ),
    **dict.fromkeys(("set_cookie", "set_signed_cookie", "get_signed_cookie", "delete_cookie"), 0),
    **dict.fromkeys(("getattr", "hasattr", "setattr", "delattr"), 1),
}
# Functions that take a secret at this position.
_SECRET_AT = {
    **dict.fromkeys(("create_user", "create_superuser", "acreate_user", "acreate_superuser"), 2),
    **dict.fromkeys(("jwt.encode", "jwt.decode"), 1),
    "Fernet": 0,
}
# Functions whose ``key`` is a cryptographic one.
_CRYPTOGRAPHY = frozenset(
    re.findall(r"\w+", "signer signing sign unsign encrypt decrypt cipher hmac fernet jwt jws jwe")
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_FILLED = frozenset(("append", "appendleft", "add", "extend", "insert"))
# Functions whose literals are formats or separators.
_WAYS = frozenset(
    (
        *("encode", "decode", "split", "rsplit", "partition", "rpartition", "strip", "lstrip"),
        *("rstrip", "startswith", "endswith", "removeprefix", "removesuffix", "strftime"),
    )
)
# Names whose literals are names of columns, fields or parameters.
_LISTS = frozenset(
    (
        *("fields", "exclude", "only", "defer", "values", "values_list", "order_by", "ordering"),
        *("columns", "names", "params", "parameters", "update_fields", "readonly_fields"),
        *("list_display", "list_filter", "search_fields", "unique_together", "__slots__", "index"),
        *("sensitive_variables", "sensitive_post_parameters", "select_related", "indexes"),
        *("prefetch_related", "distinct", "fieldsets", "required", "attrgetter", "itemgetter"),
    )
)
_DECLARED = ("Field", "ForeignKey", "Column")
_LOGINS = frozenset(
    (
        *("login", "log_in", "signin", "sign_in", "authenticate", "alogin", "aauthenticate"),
        *("compare_digest", "constant_time_compare", "basicauth", "httpbasicauth", "basic_auth"),
    )
)
_MANAGERS = frozenset(("objects", "_default_manager", "_base_manager"))


def level_of(name: str) -> Level:
    """The level of one name: a variable, a parameter, a key."""
    if name in _OF_THINGS:
        return Level.NONE
    secrecy = secrecy_of(name)
    if secrecy is Secrecy.SECRET or secrecy is Secrecy.LIKELY:
        return Level.NAMED
    return Level.DOUBT if secrecy is Secrecy.DOUBTFUL else Level.NONE


def level_of_path(path: str) -> Level:
    """The level of ``a.b.c``: the last name decides, so that ``token.kind`` is harmless."""
    parts = path.split(".")
    while len(parts) > 1 and parts[-1] in VALUES:
        parts.pop()
    found = level_of(parts[-1])
    if found is Level.NONE and len(parts) > 1 and _is_container(parts[-2]):
        return level_of(f"{parts[-2]}_{parts[-1]}")  # credentials.user, but not tokens.count
    return found


def _is_container(name: str) -> bool:
    return name[-1:] in "sS" and name[-2:] not in ("ss", "SS") and level_of(name) is Level.NAMED


def is_owned_by_secret(path: str) -> bool:
    """True for a method of a secret: ``password.replace``, ``Token.objects.create``."""
    owners = [each for each in path.split(".")[:-1] if each not in _MANAGERS]
    return bool(owners) and level_of(owners[-1]) is Level.NAMED


def level_of_call(path: str, outer: Level) -> Level:
    """The level of the arguments of ``path(...)`` within an expression of level ``outer``."""
    last = path.rpartition(".")[2]
    if last in _WAYS or last in _LISTS or last.endswith(_DECLARED):
        return Level.NONE
    if outer is Level.WHOLE:
        return outer
    is_login = last.lower() in _LOGINS
    if last in _FILLED and level_of_path(path.rpartition(".")[0]) is not Level.NONE:
        return Level.NAMED  # tokens.append
    if is_login or level_of(last) is Level.NAMED or is_owned_by_secret(path):
        return Level.NAMED
    return outer if outer > Level.DOUBT else Level.NONE


def takes_secret_at(path: str, at: int) -> bool:
    """True for the third of ``create_user("bob", "bob@example.org", "...")``."""
    parts = path.split(".")
    return at in (_SECRET_AT.get(parts[-1]), _SECRET_AT.get(".".join(parts[-2:])))


def is_plain_field(path: str) -> bool:
    """True for Pydantic's ``Field("x")``, whose first argument is a default, and no label."""
    return path.rpartition(".")[2] == "Field"


def has_secret_key(path: str) -> bool:
    """True for ``Signer(key="...")``."""
    return not _CRYPTOGRAPHY.isdisjoint(word.lower() for word in _WORD.findall(path))


def is_declaration(path: str) -> bool:
    """True for ``CharField(...)``, whose texts are labels, but for its default."""
    return path.endswith(_DECLARED)


def lists_names(name: str) -> bool:
    """True for ``fields``, in which ``"password"`` is followed by other names, not by its value."""
    return name.rpartition(".")[2].lower() in _LISTS or name.lower().endswith(("fields", "names"))
