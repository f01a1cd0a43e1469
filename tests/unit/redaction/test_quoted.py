"""Fields, variables, settings and errors that quote what they were given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from slowhound.cli.diagnostics import Diagnostic
from slowhound.cli.doctor import checked
from slowhound.config import legacy
from slowhound.config.checks import check_sinks
from slowhound.redaction.structures import masked
from slowhound.sinks.webhook import Webhook
from slowhound.store.answer import StoreError
from slowhound.store.clickhouse import Target
from slowhound.system import guard, losses
from slowhound.watch.safe_repr import Printer

TOKEN = "ghp_1Abcdefghijklmnopqrst2uvwxyzABCDEFG"
CORE = "1Abcdefghijk"
CARD = "4111111111111111"
KEY_ERROR = "Key (email)=(hunter2@shop.example) already exists."


def test_what_is_split_off_an_address_has_no_password() -> None:
    """``urlsplit(os.environ["DATABASE_URL"])``, in a field and in a local variable."""
    parts = urlsplit("postgres://shop:hunter2hunter2@db.example/shop")
    shown = Printer(frozenset()).named("parts", parts)
    assert "hunter2" not in shown
    assert "@db.example" in shown
    field = masked({"app_url": {"netloc": parts.netloc, "path": "/shop"}})
    assert field == {"app_url": {"netloc": "shop:********************@db.example", "path": "/shop"}}
    assert masked({"app_url": {"netloc": "db:80"}}) == {"app_url": {"netloc": "db:80"}}


def test_error_of_a_database_in_a_local_variable_has_no_values() -> None:
    """``text = str(exc)`` is masked like a field."""
    assert "hunter2" not in Printer(frozenset()).named("shown", KEY_ERROR)


@pytest.mark.parametrize("number", [4111111111111111.0, 4111111111111111])
def test_number_of_a_card_is_hidden_in_any_number(number: float) -> None:
    """A reader of tables makes floats of whole numbers where one is missing."""
    assert masked({"app_n": number}) == {"app_n": "********************"}
    assert Printer(frozenset()).named("n", number) == "********************"


@pytest.mark.parametrize(
    "number", [1700000000.25, 1.7e12, 4111111111111111.5, 1e300, float("inf"), -0.0]
)
def test_other_numbers_stay(number: float) -> None:
    """Times and amounts stay, and NaN."""
    assert masked({"app_n": number}) == {"app_n": number}
    assert Printer(frozenset()).named("n", number) == repr(number)


@pytest.mark.parametrize("name", [f"app_{TOKEN}", f"git_hub_{TOKEN}", f"shop_{CARD}"])
def test_name_of_a_field_is_searched_behind_each_namespace(name: str) -> None:
    """``Context.set(token, 1, namespace="git_hub")``."""
    (shown,) = masked({name: 1})
    assert shown.endswith("_********************")
    assert CORE not in str(masked({f"app_{TOKEN[:-1]}": 1, "app_password=hunter2hunter2": 1}))


@pytest.mark.parametrize(
    "name", ["app_user_sk_live_mode_is_on", "app_orders_2024_01_15", "app_a.b-c", "app_my words"]
)
def test_ordinary_names_of_fields_stay(name: str) -> None:
    """They may contain any words."""
    assert masked({name: 1}) == {name: 1}


def test_own_log_has_no_values_of_databases(caplog: pytest.LogCaptureFixture) -> None:
    """Nor of a sink's or an application's errors."""
    losses.reset()
    with caplog.at_level(logging.WARNING):
        losses.lost("events", OSError(KEY_ERROR))
    losses.reset()
    assert "already exists" in caplog.text
    assert "hunter2" not in caplog.text
    assert "hunter2" not in guard.shown(ValueError(KEY_ERROR))


def test_bad_old_setting_is_quoted_without_secrets() -> None:
    """So is one whose own text fails."""

    class Fails:
        def __repr__(self) -> str:
            raise ValueError

    for value in ({"password": "hunter2hunter2"}, Fails()):
        given = {"DOGSLOW_EMAIL_TO": value, "DOGSLOW_EMAIL_FROM": "a@shop.example"}
        (found,) = legacy.problems(given.get)
        assert "hunter2" not in found.message


def test_address_in_the_place_of_a_sink_is_quoted_without_secrets(configure: Any) -> None:
    """Django's checks quote it, and so does ``doctor``."""
    address = f"https://hooks.slack.com/services/T00000000/B00000000/{TOKEN[4:]}"
    configure(SINKS=[address])
    (found,) = check_sinks()
    assert "hooks.slack.com" in found.msg
    assert CORE not in found.msg


def test_doctor_shows_settings_that_fail_without_secrets() -> None:
    """An exception of an application may contain the value."""

    def quote() -> list[Diagnostic]:
        text = "DATABASE_URL: postgres://shop:hunter2hunter2@db/shop"
        return [Diagnostic("problem", "settings", text)]

    def fail() -> list[Diagnostic]:
        raise ValueError("Port could not be cast to integer value as 'hunter2'")

    for each in (quote, fail):
        (found,) = checked("settings", each)
        assert "hunter2" not in found.text


@pytest.mark.parametrize(
    "address",
    [
        "{}://shop:hunter2/hunter2@hook.example/",
        "{}://shop:hunter2@hook\u2100.example/",
        "{}://shop:hunter2[@hook.example/",
    ],
)
def test_address_that_cannot_be_read_is_not_repeated(address: str) -> None:
    """Python quotes the part that it could not read, which may be half of a password."""
    makes: list[tuple[type[Exception], Callable[[], object]]] = [
        (ValueError, lambda: Webhook(address.format("https"))),
        (StoreError, lambda: Target(address.format("clickhouse"))),
    ]
    for kind, make in makes:
        with pytest.raises(kind) as caught:
            make()
        assert "hunter2" not in guard.shown(caught.value)
