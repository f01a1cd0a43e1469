"""Views that query."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable

from django.db import DatabaseError, connection, connections
from django.http import HttpRequest, HttpResponse

from tests.site.models import Author, Item, Note


def five(_request: HttpRequest) -> HttpResponse:
    """Makes five different queries."""
    found = [
        Item.objects.count(),
        Author.objects.count(),
        Note.objects.count(),
        len(Item.objects.values_list("name", flat=True)),
        len(Author.objects.values_list("name", flat=True)),
    ]
    return HttpResponse(str(len(found)))


def n1(_request: HttpRequest) -> HttpResponse:
    """An N+1: one query for the items and one more, always the same, for each of the six."""
    names = [
        item.author.name  # mark: n1
        for item in Item.objects.order_by("id")
    ]
    return HttpResponse(", ".join(names))


def four_times(_request: HttpRequest) -> HttpResponse:
    """The same query four times, one less than what counts as N+1."""
    found = [Item.objects.get(pk=number) for number in (1, 2, 3, 4)]
    return HttpResponse(str(len(found)))


def many(_request: HttpRequest) -> HttpResponse:
    """One executemany with many parameter sets, and one statement that undoes it."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO site_note (text) VALUES (%s)", [[f"note {n}"] for n in range(20)]
        )
        cursor.execute("DELETE FROM site_note")
    return HttpResponse("many")


def composed(_request: HttpRequest) -> HttpResponse:
    """The same psycopg-composed statement five times."""
    from psycopg import sql

    with connection.cursor() as cursor:
        for _ in range(5):
            statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("site_item"))
            cursor.execute(statement)  # mark: composed
    return HttpResponse("composed")


def server_side(_request: HttpRequest) -> HttpResponse:
    """A server-side cursor where the database has them."""
    names = [item.name for item in Item.objects.order_by("id").iterator(chunk_size=2)]
    return HttpResponse(", ".join(names))


def aliases(_request: HttpRequest) -> HttpResponse:
    """Two equal statements on the default database, one other on the second."""
    for _ in range(2):
        Item.objects.using("default").count()
    Author.objects.using("other").count()
    return HttpResponse("aliases")


def _queries(each: int) -> None:
    try:
        for _ in range(each):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchall()
    finally:
        connections.close_all()


def _run(threads: int, target: Callable[[], None]) -> None:
    started = [threading.Thread(target=target) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def in_threads(_request: HttpRequest, threads: int, each: int) -> HttpResponse:
    """Queries in threads with a copy of the request's context, as asgiref starts them."""
    contexts = [contextvars.copy_context() for _ in range(threads)]
    _run(threads, lambda: contexts.pop().run(_queries, each))
    return HttpResponse("threads")


def in_bare_threads(_request: HttpRequest, threads: int, each: int) -> HttpResponse:
    """Queries in threads without the request's context."""
    Item.objects.count()
    _run(threads, lambda: _queries(each))
    return HttpResponse("bare threads")


def bad_sql(_request: HttpRequest) -> HttpResponse:
    """A statement that the database refuses; the view handles the error."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")
    except DatabaseError:
        return HttpResponse("survived")
    return HttpResponse("accepted?", status=500)


def slow_sql(_request: HttpRequest) -> HttpResponse:
    """A statement that takes a tenth of a second in the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.1)")
    return HttpResponse("slow sql")
