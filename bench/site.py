"""The application that is measured: small views, SQLite, no middleware."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

ROWS = 20


def fill() -> None:
    """Sets Django up, makes the tables and their rows."""
    import django

    django.setup()
    from django.contrib.auth.models import Group
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    Group.objects.bulk_create([Group(name=f"group {number}") for number in range(ROWS)])


def plain(request: HttpRequest) -> HttpResponse:
    """The trivial view."""
    return HttpResponse(b"ok")


def five(request: HttpRequest) -> HttpResponse:
    """Five ORM queries, each another statement."""
    from django.contrib.auth.models import Group, User

    names = [Group.objects.get(pk=1).name, Group.objects.only("name").first()]
    counts = [Group.objects.count(), User.objects.count()]
    return HttpResponse(f"{names} {counts} {User.objects.filter(pk=1).exists()}")


def n1(request: HttpRequest) -> HttpResponse:
    """Twenty runs of one ORM query."""
    from django.contrib.auth.models import Group

    names = [Group.objects.get(pk=number).name for number in range(1, ROWS + 1)]
    return HttpResponse(",".join(names))


def raising(request: HttpRequest) -> HttpResponse:
    """An exception, three functions below the view."""
    return _first({"a": 1})


def _first(row: dict[str, int]) -> HttpResponse:
    return _second(row, "b")


def _second(row: dict[str, int], key: str) -> HttpResponse:
    return HttpResponse(str(row[key]))


urlpatterns = [
    path("plain/", plain, name="plain"),
    path("five/", five, name="five"),
    path("n1/", n1, name="n1"),
    path("raising/", raising, name="raising"),
]
