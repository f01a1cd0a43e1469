"""An application as its README has one, written for gunicorn-django-canonical-logs."""

import os
import time

from django.http import HttpResponse
from django.template import engines
from django.urls import path
from gunicorn_django_canonical_logs import Context, register_instrumenter
from gunicorn_django_canonical_logs.event_context import EventContext
from gunicorn_django_canonical_logs.instrumenters.protocol import InstrumenterProtocol
from gunicorn_django_canonical_logs.instrumenters.registry import instrumenter_registry
from gunicorn_django_canonical_logs.logfmt import LogFmt
from gunicorn_django_canonical_logs.partial_failure import on_error
from gunicorn_django_canonical_logs.stack_context import get_stack_loc_context


class MyError(Exception):
    pass


@register_instrumenter
class MyInstrumenter(InstrumenterProtocol):
    # The original calls setup only of those that were imported before the fork.
    pid = os.getpid()

    def setup(self):
        self.pid = os.getpid()

    def call(self, request, response, environ):
        Context.set("instrumented", f"{self.pid == os.getpid()} {type(request).__name__}")


@register_instrumenter()
class Another:
    def setup(self):
        pass

    def teardown(self):
        pass

    def call(self, request, response, environ):
        Context.set("method", Context.get("method", namespace="req"), namespace="own")


def func_that_throws():
    raise MyError("Oh noes!")


def ok(request):
    return HttpResponse("OK!")


def custom(request):
    Context.set("custom", "my_value")
    Context.update(context={"number": 7, "yes": True, "nothing": None})
    for _ in range(2):
        with Context.time("work"):
            time.sleep(0.05)
    assert Context.get("custom") == "my_value"
    return HttpResponse(str(Context.get("id", namespace="req")))


def db_queries(request):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        for _ in range(2):
            cursor.execute("SELECT 2")
    return HttpResponse("OK!")


def view_exception(request):
    func_that_throws()


def template_exception(request):
    class Thrower:
        def throw(self):
            raise MyError("in a template")

    template = engines["django"].get_template("throws.html")
    return HttpResponse(template.render({"thrower": Thrower()}))


@on_error(return_value="degraded")
def will_throw():
    func_that_throws()


def partial_failure(request):
    return HttpResponse(will_throw())


def sleeps(request):
    time.sleep(60)
    return HttpResponse("OK!")


def helpers(request):
    import traceback

    own = EventContext()
    own.set("type", "custom", namespace="event")
    own.set("key", 'a "quoted" value')
    with own.time("took"):
        pass
    own.update(context={"first": 1}, namespace="first", beginning=True)
    where = get_stack_loc_context(traceback.extract_stack())
    names = sorted(instrumenter_registry)
    return HttpResponse(f"{LogFmt.format(own)}\n{sorted(where)}\n{names}")


urlpatterns = [
    path("ok/", ok),
    path("custom/", custom),
    path("db_queries/", db_queries),
    path("view_exception/", view_exception),
    path("template_exception/", template_exception),
    path("partial_failure/", partial_failure),
    path("sleeps/", sleeps),
    path("helpers/", helpers),
]
