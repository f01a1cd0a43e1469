"""A WSGI application that sends itself a request while it is loaded."""

from __future__ import annotations

from django.test import Client

from tests.site.wsgi import application

__all__ = ["application"]

assert Client().get("/ok/").status_code == 200
