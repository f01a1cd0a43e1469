"""Who is allowed to ask for a flame graph: tokens, their paths and expiry, staff, callables."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import signing
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from slowhound.config.checks import check_flames, check_settings
from slowhound.on_demand.permission import (
    GRAPH_HEADER,
    LONGEST_LIFETIME,
    SALT,
    GraphRequest,
    graph_request,
    is_allowed,
    is_user_allowed,
    is_valid,
    new_token,
)
from slowhound.runtime.clocks import clock

factory = RequestFactory()
HERE = "tests.unit.on_demand.test_permission"


def get(path: str = "/", **extra: Any) -> HttpRequest:
    return factory.get(path, **extra)


def from_office(request: HttpRequest) -> bool:
    return request.META["REMOTE_ADDR"] == "10.1.1.1"


def is_ada(request: HttpRequest) -> bool:
    return request.user.name == "ada"


async def is_coroutine(request: HttpRequest) -> bool:
    return False


def breaks(request: HttpRequest) -> bool:
    raise LookupError("a rule that fails")


def test_words_of_query_and_header_are_read() -> None:
    """`svg`, `1` and tokens, in any order."""
    assert graph_request({"QUERY_STRING": ""}) is None
    assert graph_request({}) is None
    assert graph_request({"QUERY_STRING": "page=2&inflames=1&flames2&xflames"}) is None
    assert graph_request({"QUERY_STRING": "flames"}) == GraphRequest(instead=False, tokens=())
    assert graph_request({"QUERY_STRING": "a=b&flames=svg"}) == GraphRequest(
        instead=True, tokens=()
    )
    assert graph_request({"QUERY_STRING": "flames=a%3Ab,svg"}) == GraphRequest(
        instead=True, tokens=("a:b",)
    )
    assert graph_request({GRAPH_HEADER: "1"}) == GraphRequest(instead=False, tokens=())
    both = {"QUERY_STRING": "flames=svg&flames=x", GRAPH_HEADER: " y "}
    assert graph_request(both) == GraphRequest(instead=True, tokens=("x", "y"))
    flood = graph_request({"QUERY_STRING": "flames=" + "t," * 10_000})
    assert flood is not None
    assert len(flood.tokens) <= 8


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("/", "/"),
        ("/", "/anything/at/all"),
        ("/", "//even/../this"),
        ("/shop", "/shop"),
        ("/shop", "/shop/"),
        ("/shop", "/shop/cart/7"),
        ("/shop/", "/shop/cart/"),
        ("/größe", "/größe/1"),
    ],
)
def test_token_is_valid_below_its_path(scope: str, path: str) -> None:
    """For the path itself and all paths below it."""
    assert is_valid(new_token(scope, 60), path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/shopping",
        "/shop2/",
        "/sho",
        "/SHOP/",
        "/admin/",
        "/admin/shop/",
        "/shop/../admin/",
        "/shop/cart/../../admin",
        "/shop/./x",
        "/shop/..",
        "/shop//admin",
        "//shop/x",
        "/shop//",
        "/shop/%2e%2e/admin/",
        "/shop/..%2fadmin",
        "/shop\\..\\admin",
        "/shop/..;/admin/",
        "/shop/\x00",
        "shop/",
    ],
)
def test_token_is_valid_for_no_other_path(path: str) -> None:
    """Nor for one that something behind us may resolve to another path."""
    assert not is_valid(new_token("/shop", 60), path)


def test_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its time, independent of the time in the signature."""
    token = new_token("/", 60)
    now = time.time()
    monkeypatch.setattr(clock, "time", lambda: now + 59)
    assert is_valid(token, "/")
    monkeypatch.setattr(clock, "time", lambda: now + 60)
    assert not is_valid(token, "/")


def test_other_signed_values_are_no_tokens() -> None:
    """Changed, with another key or salt, of another form, huge, not ASCII."""
    token = new_token("/", 60)
    body, stamp, signature = token.split(":")
    with override_settings(SECRET_KEY="another"):
        foreign = new_token("/", 60)
    later = time.time() + 60
    bad = [
        "",
        "1",
        ":",
        "::",
        body,
        f"{body}:{stamp}",
        f"{body[:-1]}:{stamp}:{signature}",
        f"{body}:{stamp}:{signature[:-1]}x",
        f"{body}:{stamp}x:{signature}",
        f".{body}:{stamp}:{signature}",
        token + "x",
        token + "\n",
        foreign,
        signing.dumps(["", later]),
        signing.dumps(["", later], salt="sessions"),
        signing.dumps("/", salt=SALT),
        signing.dumps(["", later, 1], salt=SALT),
        signing.dumps(["", None], salt=SALT),
        signing.dumps({"": later}, salt=SALT),
        "x" * 1_000_000,
        token + "é",
        "\udc80",
    ]
    assert is_valid(token, "/")
    assert [each[:80] for each in bad if is_valid(each, "/")] == []


@pytest.mark.parametrize("token", ["x" * 1_000_000, "\xff:x:y", "\udc80"])
def test_text_that_cannot_be_a_token_is_not_hashed(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any client can send it."""
    hashed: list[str] = []
    monkeypatch.setattr(signing, "loads", lambda token, **_: hashed.append(token))
    assert not is_valid(token, "/")
    assert hashed == []


def test_tokens_outlive_a_change_of_the_key() -> None:
    """Like sessions, with SECRET_KEY_FALLBACKS."""
    token = new_token("/", 60)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["unit"]):
        assert is_valid(token, "/")


@pytest.mark.parametrize(
    ("path", "seconds"),
    [
        ("", 60),
        ("shop", 60),
        ("//host/", 60),
        ("/a/../b", 60),
        ("/a%2fb", 60),
        ("/a?b", 60),
        ("/a#b", 60),
        ("https://shop/", 60),
        ("/", 0),
        ("/", -1),
        ("/", LONGEST_LIFETIME + 1),
        ("/", float("nan")),
    ],
)
def test_no_token_is_made_for_an_invalid_path_or_time(path: str, seconds: float) -> None:
    """Such a token could not be used."""
    with pytest.raises(ValueError):
        new_token(path, seconds)


def test_debug_allows_all_and_otherwise_no_one() -> None:
    """The default; an empty list allows no one at all."""
    assert is_allowed(get(), (), ("debug",)) is False
    token = new_token("/", 60)
    assert is_allowed(get(), (token,), ("debug",)) is False
    with override_settings(DEBUG=True):
        assert is_allowed(get(), (), ("debug",)) is True
        assert is_allowed(get(), (), ("token",)) is True
        assert is_allowed(get(), (token,), ()) is False


def test_token_is_accepted_where_the_settings_allow_it() -> None:
    """One valid token among several is enough."""
    token = new_token("/shop", 60)
    assert is_allowed(get("/shop/1?flames"), ("bad", token), ("token",)) is True
    assert is_allowed(get("/admin/"), ("bad", token), ("token",)) is False
    assert is_allowed(get("/shop/%2e%2e/admin/"), (token,), ("token",)) is False
    assert is_allowed(get("/shop/1"), (), ("token",)) is False


def test_staff_is_known_after_the_view() -> None:
    """A client without a session is refused at once."""
    assert is_allowed(get(), (), ("staff",)) is False
    request = get(HTTP_COOKIE="sessionid=x")
    assert is_allowed(request, (), ("staff",)) is None
    assert is_allowed(request, (), ("token",)) is False
    for is_active, is_staff in ((True, True), (True, False), (False, True)):
        request.user = SimpleNamespace(is_active=is_active, is_staff=is_staff)  # type: ignore[assignment]
        assert is_user_allowed(request, ("staff",)) is (is_active and is_staff)
        assert is_user_allowed(request, ("token", "debug")) is False
    assert is_user_allowed(get(), ("staff",)) is False  # a site without users


def test_callable_decides() -> None:
    """Before the view; one that reads the user, after it."""
    office, ada = f"{HERE}.from_office", f"{HERE}.is_ada"
    assert is_allowed(get(REMOTE_ADDR="10.1.1.1"), (), (office,)) is True
    assert is_allowed(get(), (), (office,)) is False
    assert is_allowed(get(HTTP_COOKIE="sessionid=x"), (), (office,)) is False
    assert is_allowed(get(), (), (ada,)) is False
    request = get(HTTP_COOKIE="sessionid=x")
    assert is_allowed(request, (), (office, ada)) is None
    request.user = SimpleNamespace(name="ada")  # type: ignore[assignment]
    assert is_user_allowed(request, (office, ada)) is True
    request.user = SimpleNamespace(name="eve")  # type: ignore[assignment]
    assert is_user_allowed(request, (office, ada)) is False


@pytest.mark.parametrize("name", ["is_coroutine", "breaks", "is_not_there"])
def test_callable_that_fails_allows_no_one(name: str) -> None:
    """A coroutine is true as an object, but must not count as a yes."""
    with pytest.raises((TypeError, LookupError, ImportError)):
        is_allowed(get(), (), (f"{HERE}.{name}",))


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"SLOWHOUND": {"FLAMES": {"ALLOW": f"{HERE}.from_office"}}}, []),
        ({"SLOWHOUND": {"FLAMES": {"ALLOW": ["debug", "no.such.rule"]}}}, ["slowhound.E005"]),
        ({"SLOWHOUND": {"FLAMES": {"ALLOW": f"{HERE}.is_not_there"}}}, ["slowhound.E005"]),
        ({"SLOWHOUND": {"FLAMES": {"ALLOW": "token"}}}, ["slowhound.W005"]),
        ({"SLOWHOUND": {"FLAMES": {"ALLOW": "token"}}, "SECRET_KEY": ""}, ["slowhound.W005"]),
        ({"SLOWHOUND": {"FLAMES": {"ALLOW": "token"}}, "DEBUG": True}, []),
        ({"SLOWHOUND": {"FLAMES": {"ALLOW": "token"}}, "SECRET_KEY": "k" * 50}, []),
        (
            {
                "SLOWHOUND": {"FLAMES": {"ALLOW": ["token"]}},
                "SECRET_KEY": "django-insecure-" + "k" * 50,
            },
            ["slowhound.W005"],
        ),
        ({"SLOWHOUND": {"FLAMES": {"ALLOW": "all"}}}, ["slowhound.E003"]),
    ],
)
def test_system_checks_cover_allow(settings: dict[str, Any], found: list[str]) -> None:
    """A callable that cannot be imported, and tokens that any client could sign."""
    with override_settings(**settings):
        checked = [*check_settings(), *check_flames()]
    assert [each.id for each in checked] == found
