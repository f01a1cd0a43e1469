"""Fields that the application sets, of any shape, and the rules that local variables share."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import pytest
from django.http import QueryDict
from django.utils.functional import lazystr

from slowhound.event.formats import json_line, logfmt
from slowhound.redaction import masking
from slowhound.redaction.mask import MASK
from slowhound.redaction.structures import hides, is_flag, masked, named_secret
from slowhound.watch.safe_repr import Printer

SECRET = "hunter2" * 2
TEXT = f"password={SECRET}"
CARD = int("4" + "1" * 15)
Login = dataclasses.make_dataclass("Login", [("user", str), ("password", str)])
Pair = collections.namedtuple("Pair", "user password")  # noqa: PYI024  as applications have them


class Text(str):
    """A text of a class of its own."""

    __slots__ = ()


class Shown:
    """An object whose text is secret."""

    def __str__(self) -> str:
        return TEXT


VALUES: dict[str, Any] = {
    "form": QueryDict(TEXT),
    "exception": ValueError(TEXT),
    "bytes": TEXT.encode(),
    "lazy text": lazystr(TEXT),
    "data class": Login("ada", SECRET),
    "named tuple": Pair("ada", SECRET),
    "ordered dict": collections.OrderedDict(password=SECRET),
    "default dict": collections.defaultdict(str, password=SECRET),
    "subclass of str": Text(f"Bearer abcdef123456{SECRET}"),
    "object": Shown(),
    "list of pairs": [("password", SECRET)],
    "pairs in lists": [["page", 1], ["password", SECRET]],
    "name and value": {"name": "password", "value": SECRET},
    "value and name": {"value": SECRET, "key": "api_token"},
    "names and values": [{"name": "X-Api-Key", "value": SECRET}, {"name": "a", "value": "b"}],
    "secret as key": {"ghp_" + SECRET * 3: 1},
    "field and its value": {"field_name": "password", "field_value": SECRET},
    "as AWS writes them": [{"Name": "password", "Value": SECRET}],
    "parameter of a stack": {"ParameterKey": "DbPassword", "ParameterValue": SECRET},
    "an input of a form": {"type": "password", "value": SECRET},
    "a pair alone": ["password", SECRET],
    "text under a name in doubt": {"session": {"user": {"x": SECRET}, "count": 3}},
    "texts under a name in doubt": {"tokens": [SECRET, 3]},
    "card": CARD,
    "card in a list": [CARD],
    "command": ["mysql", "--password", SECRET, "shop"],
    "command with a sign": ["mysql", f"--password={SECRET}"],
    "query string of an environ": {"QUERY_STRING": f"a=1&token={SECRET}"},
    "deep": {"a": [{"b": ({"password": SECRET},)}]},
    "deeper": {"a": {"b": {"c": {"d": {"e": {"note": TEXT}}}}}},
}


@pytest.mark.parametrize("kind", VALUES)
def test_secret_in_a_field_of_any_type_is_hidden(kind: str) -> None:
    """It is in both formats of the line."""
    event = {"event_type": "request", **masked({"app_x": VALUES[kind]})}
    for line in (logfmt(event), json_line(event).decode()):
        assert SECRET not in line
        assert str(CARD) not in line


@pytest.mark.parametrize("kind", VALUES)
def test_secret_in_a_local_variable_of_any_type_is_hidden(kind: str) -> None:
    """The same rules hold."""
    shown = Printer(frozenset()).named("x", VALUES[kind])
    assert SECRET not in shown
    assert str(CARD) not in shown


@pytest.mark.parametrize(
    "value",
    [
        7,
        2.5,
        12345678901234,
        "val",
        [1, 2],
        ["email", "phone"],
        ["ls", "--all", "/tmp"],
        {"key": "price"},
        {"name": "total", "value": "3"},
        {"tokens": 512, "has_password": "yes"},
        {"token_count": 3, "cache_key": "cart:1"},
        {"QUERY_STRING": "page=2"},
    ],
)
def test_ordinary_value_is_shown_as_it_is(value: Any) -> None:
    """People want to read what they set."""
    assert masked({"app_key": value}) == {"app_key": value}


def test_flag_and_nothing_are_no_secrets() -> None:
    """This holds under any name, at both levels."""
    for value in (None, True, False):
        assert masked({"app_password": value}) == {"app_password": value}
        assert masked({"app_form": {"password": value}}) == {"app_form": {"password": value}}


def test_number_is_hidden_where_it_may_be_the_secret() -> None:
    """Under a found name it always is, under a doubtful one never."""
    assert masked({"app_pin": 1234, "app_token": 7}) == {"app_pin": MASK, "app_token": 7}
    assert masked({"app_x": {"token": 7, "session": 7}}) == {"app_x": {"token": MASK, "session": 7}}


def test_what_mask_names_is_hidden_whatever_it_is() -> None:
    """MASK matches its name with the namespace and without; flags and numbers are hidden, too."""
    masking.extend(["^customer_id$", "^app_vip$"])
    try:
        for value in (7, True, "ada", [1]):
            assert masked({"app_customer_id": value, "app_vip": value}) == {
                "app_customer_id": MASK,
                "app_vip": MASK,
            }
            assert hides("customer_id", value)
        assert masked({"app_customer_id": None}) == {"app_customer_id": None}
    finally:
        masking.extend(())


def test_name_of_a_field_is_searched_as_well() -> None:
    """Code that counts by data of a request makes names of them."""
    token = "ghp_" + "a7Q" * 12
    assert masked({f"app_{token}": 1}) == {f"app_{MASK}": 1}


def test_rules_that_variables_share() -> None:
    """A name, a flag of a command and an object with a name and a value are recognised."""
    assert hides("password", "x")
    assert hides("foo_key", "x")
    assert not hides("foo_key", 7)
    assert not hides("key", "x")
    assert is_flag("--api-key")
    assert not is_flag("--api-key=x")
    assert not is_flag("--all")
    assert named_secret([("name", "token"), ("value", "x")])
    assert not named_secret([("name", "total"), ("value", "x")])


@pytest.mark.parametrize(
    "value",
    [
        {"tokens": {"prompt": 3, "completion": [4, 5.5]}, "model": "small"},
        {"session": {"is_new": True, "pages": 3, "cart": None}},
        {"label": "tokens", "value": 3},
        {"type": "token", "value": "("},
        {"name": "token_count", "value": "3"},
        ["password", "email"],
        ["token", "sort_key"],
    ],
)
def test_numbers_under_a_name_in_doubt_and_lists_of_names_are_shown(value: Any) -> None:
    """So are numbers of a doubtful name by itself."""
    assert masked({"app_x": value}) == {"app_x": value}


def test_number_that_may_be_the_secret_is_hidden_also_under_a_name_in_doubt() -> None:
    """Its own name decides, or both names together."""
    shown = masked({"app_x": {"card": {"number": 411, "cvc": 123}, "mfa": {"code": 123456}}})
    assert shown == {"app_x": {"card": {"number": MASK, "cvc": MASK}, "mfa": {"code": MASK}}}
    assert masked({"app_x": {"name": "pin", "value": 123}}) == {
        "app_x": {"name": "pin", "value": MASK}
    }
