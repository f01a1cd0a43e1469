"""Views with secrets in all that they do."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Any

import urllib3
from django.core.cache import cache
from django.db import connection, models
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from slowhound import Context, on_error, task
from tests.site.gates import wait_at
from tests.site.planted import BY_NAME, KINDS, mark


def anyone(_request: HttpRequest) -> bool:
    """For FLAMES["ALLOW"]: every client may have a flame graph."""
    return True


class Leak(Exception):
    """An exception with a secret in its text."""


@dataclasses.dataclass
class Holder:
    """An object of the kind in which an application keeps secrets."""

    note: str
    password: str = BY_NAME


class Visit(models.Model):
    """A model whose primary key is the secret, as that of Django's sessions is."""

    session_key = models.CharField(primary_key=True, max_length=40)

    class Meta:
        app_label = "site"
        managed = False


def _query(number: int) -> None:
    text = KINDS[number].text.replace("'", "''")
    sql = f"SELECT '{text}' AS \"{mark('sql', number)}\" /* {KINDS[number].text} */"
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _call(number: int) -> None:
    with urllib3.PoolManager() as pool:
        pool.request("GET", os.environ["ECHO"] + f"/{number}?token={BY_NAME}", timeout=5)


def _work(number: int) -> None:
    @task(name=f"{mark('task', number)} {KINDS[number].text}")
    def work() -> None:
        Context.set("note", f"{mark('taskfield', number)} {KINDS[number].text}")
        raise Leak(f"{mark('taskerror', number)} {KINDS[number].text}")

    with contextlib.suppress(Leak):
        work()


@on_error(return_value=None)
def _survived(number: int) -> None:
    raise Leak(f"{mark('partial', number)} {KINDS[number].text}")


def _connect(gate: str, password: str) -> None:
    wait_at(gate)


def _hold(number: int, gate: str) -> None:
    """Has variables of many types with the secret, each with a harmless word."""
    kind = KINDS[number].text
    text = f"{mark('text', number)} {kind}"
    octets = f"{mark('octets', number)} {kind}".encode()
    items = {"note": f"{mark('items', number)} {kind}"}
    nested = [(1, [f"{mark('nested', number)} {kind}"])]
    holder = Holder(f"{mark('holder', number)} {kind}")
    for_sure = {
        "password": BY_NAME,
        "apiToken": BY_NAME,
        b"cookie": BY_NAME,
        "seen": "mark_keys_end",
    }
    pairs = [("password", BY_NAME), (b"authorization", BY_NAME), ("seen", "mark_pairs_end")]
    form = {"name": "password", "value": BY_NAME, "seen": "mark_form_end"}
    visit = Visit(session_key=BY_NAME)
    my_api_key = BY_NAME
    _connect(gate, password="hunter2byname-in-the-source")  # a source line of the stack
    assert all((text, octets, items, nested, holder, for_sure, pairs, form, visit, my_api_key))


def leak(_request: HttpRequest, number: int, token: str, rest: str) -> HttpResponse:
    """Puts the secret of this number wherever an application could, waits, and fails with it."""
    _query(number)
    cache.get(f"{mark('cache', number)}:token:{BY_NAME}")
    _call(number)
    _work(number)
    _survived(number)
    Context.set("note", f"{mark('field', number)} {KINDS[number].text}")
    Context.set("user_password", BY_NAME)
    Context.set("headers", {"Authorization": BY_NAME, "seen": mark("nestedfield", number)})
    _hold(number, _request.headers["X-Gate"])
    raise Leak(f"{mark('error', number)} {KINDS[number].text}")


@sensitive_variables("favourite")
def _declared(gate: str) -> None:
    favourite = BY_NAME
    open_to_all = "mark_declared_end"
    _deeper(favourite, gate)
    assert open_to_all


def _deeper(favourite: str, gate: str) -> None:
    wait_at(gate)
    assert favourite


@sensitive_variables()
def _all_declared(gate: str) -> None:
    harmless = BY_NAME
    _declared(gate)
    assert harmless


@csrf_exempt
@sensitive_post_parameters("pet")
def posted(request: HttpRequest, gate: str) -> HttpResponse:
    """Has variables that Django's decorators name, and a request with secrets in all parts."""
    form = request.POST.dict()
    pet = request.POST["pet"]
    meta = {name: value for name, value in request.META.items() if name.startswith("HTTP_X")}
    cookies = dict(request.COOKIES)
    _declared(gate)
    return HttpResponse(str(len(form) + len(pet) + len(meta) + len(cookies)))


@csrf_exempt
@sensitive_post_parameters()
def posted_all(request: HttpRequest, gate: str) -> HttpResponse:
    form = request.POST.dict()
    _all_declared(gate)
    return HttpResponse(str(len(form)))


class Guarded:
    """An object all of whose methods are the application's code, and never return."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError("code of the application was run")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __getattribute__  # type: ignore[assignment]


def guarded(_request: HttpRequest, gate: str) -> HttpResponse:
    """Variables that a report must not touch, or must not copy."""
    guard = Guarded()
    huge = "x" * 100_000_000
    numbers = list(range(3_000_000))
    circle: list[Any] = []
    circle.append(circle)
    wait_at(gate)
    return HttpResponse(str(len(huge) + len(numbers) + len(circle) + (guard is None)))
